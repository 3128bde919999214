/** Scripts of psql that agents run against the world's PostgreSQL in plain text, and what other clients need for the same. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Finished } from './command.ts';
import { FAR } from './network.ts';
import { POSTGRES } from './postgres.ts';
import type { TestSluice } from './sluice.ts';

export interface Psql {
  /** What a client is started with. */
  readonly env: Readonly<Record<string, string>>;
  /** For libpq. */
  readonly connection: string;
  /** A file that everybody may read. */
  readonly fileOf: (content: string) => string;
  /** Runs a script that goes on after errors, in one session. @param to for libpq; `connection` by default */
  readonly psql: (agent: string, script: string, to?: string) => Promise<Finished>;
}

export function psqlThrough(sluice: TestSluice): Psql {
  const env = { PGPASSWORD: POSTGRES.password };
  const connection = `host=${POSTGRES.name} hostaddr=${FAR.ipv4} user=${POSTGRES.user} dbname=${POSTGRES.database} sslmode=disable`;
  let files = 0;
  const fileOf = (content: string): string => {
    files += 1;
    const path = join(sluice.world.dir, `psql-${files}`);
    writeFileSync(path, content, { mode: 0o644 });
    return path;
  };
  return {
    env,
    connection,
    fileOf,
    psql: (agent, script, to = connection) => {
      const argv = ['psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-f', fileOf(script), to];
      return sluice.run(agent, argv, { env });
    },
  };
}
