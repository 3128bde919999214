/**
 * A PostgreSQL that clients reach in three ways: directly with TLS of their own, through Sluice under rules and masks that
 * match nothing, and through Sluice under some that do. What a client prints is compared.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CommandOptions, Finished } from './command.ts';
import { FAR } from './network.ts';
import { POSTGRES } from './postgres.ts';
import { TestSluice } from './sluice.ts';
import { World } from './world.ts';
import { AGENTS, worldPolicy } from './world-policy.ts';

export type Way = 'direct' | 'quiet' | 'masked';

/** Nothing in any test looks like what these look for. */
const QUIET = `
  - { name: no-such-detail, agents: [${AGENTS.stock}], destinations: [db], detect: [aws-key, jwt, no-such-thing], action: drop }
  - { name: no-such-column, agents: [${AGENTS.stock}], destinations: [db], columns: [no_such_table.no_such_column, no_such_schema.*.no_such_name] }`;

export interface Rules {
  /** YAML of entries of `operations`, for the agent `shop`. */
  readonly operations?: string;
  /** YAML of entries of `masks`, for the agent `shop`. */
  readonly masks?: string;
}

/** What is denied the agent `shop` unless a test says otherwise. */
const NO_DESTRUCTION = `
  - { name: no-destruction, agents: [${AGENTS.shop}], destinations: [db], effects: [schema-destruction], action: deny, reason: People do that. }`;

export class SqlField {
  readonly world: World;
  readonly sluice: TestSluice;
  #files = 0;

  private constructor(world: World, sluice: TestSluice) {
    this.world = world;
    this.sluice = sluice;
  }

  static async open({ operations = NO_DESTRUCTION, masks = '' }: Rules = {}): Promise<SqlField> {
    const world = await World.open(['postgres']);
    try {
      const more = `operations:
  - { name: no-such-table, agents: [${AGENTS.stock}], destinations: [db], relations: [no_such_table], action: deny, reason: None. }${operations}
detectors:
  - { name: no-such-thing, pattern: 'NO-SUCH-THING-\\d{9}' }
masks:${QUIET}${masks}
`;
      const sluice = await TestSluice.start(world, { policy: worldPolicy(world, { more }) });
      return new SqlField(world, sluice);
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  close(): Promise<void> {
    return this.world.close();
  }

  /** A file that everybody may read. */
  file(content: string | Buffer = ''): string {
    this.#files += 1;
    const path = join(this.world.dir, `file-${this.#files}`);
    writeFileSync(path, content, { mode: 0o644 });
    return path;
  }

  /** An empty directory. */
  dir(): string {
    this.#files += 1;
    const path = join(this.world.dir, `dir-${this.#files}`);
    mkdirSync(path);
    return path;
  }

  /** Runs a client that finds its way by libpq's variables, `SQL_TLS` for one that does not: `yes` or `no`. */
  run(way: Way, argv: readonly string[], options: CommandOptions = {}): Promise<Finished> {
    const env = {
      PGHOST: FAR.ipv4,
      PGPORT: String(POSTGRES.port),
      PGUSER: POSTGRES.user,
      PGPASSWORD: POSTGRES.password,
      PGDATABASE: POSTGRES.database,
      PGSSLMODE: way === 'direct' ? 'require' : 'disable',
      SQL_TLS: way === 'direct' ? 'yes' : 'no',
      ...options.env,
    };
    const all = { timeoutMs: 240_000, ...options, env };
    if (way === 'direct') return this.world.runBystander(argv, all);
    return this.sluice.run(way === 'quiet' ? AGENTS.stock : AGENTS.shop, argv, all);
  }

  /** Runs a script of psql that goes on after errors, in one session. */
  psql(way: Way, script: string, options: readonly string[] = ['-Atq']): Promise<Finished> {
    return this.run(way, ['psql', '-X', ...options, '-f', this.file(script)]);
  }
}
