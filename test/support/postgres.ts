/**
 * PostgreSQL on the far side, `hostssl` only with SCRAM: a client that does not speak TLS is turned away, so a
 * query that succeeds has crossed encrypted. Its log says for each connection whether TLS was in use.
 *
 * `initdb` takes seconds, so one cluster is made per PostgreSQL version and copied for each world.
 */
import { existsSync, globSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must, type Running, until } from './command.ts';
import { waitForListener } from './listening.ts';
import type { Network } from './network.ts';
import type { Pki } from './pki.ts';

export const POSTGRES = {
  name: 'db.test',
  port: 5432,
  database: 'shop',
  user: 'app',
  password: 'PASSWORD-MARKER-52d7',
  /** In every answer of `select secret from vault`. */
  rowMarker: 'ROW-MARKER-77b0',
} as const;

/** Only root can write there, so the copy is what root made. */
const CACHE_DIR = '/var/cache/sluice-test';
export const asPostgres = [
  'setpriv',
  '--pdeathsig=KILL',
  '--reuid=postgres',
  '--regid=postgres',
  '--init-groups',
  '--',
];

export interface PostgresOptions {
  /** Where its programs are; default: the newest installed. */
  readonly bin?: string;
  readonly port?: number;
  /** Of postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>;
}

export class Postgres {
  readonly #process: Running;

  private constructor(process: Running) {
    this.#process = process;
  }

  static async start(
    network: Network,
    dir: string,
    pki: Pki,
    { bin = findPrograms(), port = POSTGRES.port, settings: more = {} }: PostgresOptions = {},
  ): Promise<Postgres> {
    const data = join(dir, 'data');
    mkdirSync(dir, { recursive: true, mode: 0o755 });
    await must(['cp', '-a', '--reflink=auto', await template(bin), data]);
    const { cert, key } = await pki.issue(POSTGRES.name);
    await must(['install', '-o', 'postgres', '-m', '0600', key, join(data, 'server.key')]);
    await must(['install', '-o', 'postgres', '-m', '0600', cert, join(data, 'server.crt')]);
    const settings = {
      listen_addresses: '*',
      port: String(port),
      unix_socket_directories: data,
      ssl: 'on',
      ssl_cert_file: 'server.crt',
      ssl_key_file: 'server.key',
      // Durability is not what is tested.
      fsync: 'off',
      // What it does by itself is when it comes to it: sizes that psql shows, and locks.
      autovacuum: 'off',
      // More than may wait for approval.
      max_connections: '320',
      log_connections: 'on',
      log_statement: 'all',
      ...more,
    };
    const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const process = network.far.start([...asPostgres, join(bin, 'postgres'), '-D', data, ...options], {
      cwd: dir,
    });
    await waitForListener(process, [port]);
    await process.waitFor((r) => r.stderr.includes('ready to accept connections'));
    return new Postgres(process);
  }

  get log(): string {
    return this.#process.stderr;
  }

  waitForLog(pattern: RegExp): Promise<string> {
    return until(`${pattern} in PostgreSQL's log`, () => pattern.exec(this.log)?.[0]);
  }

  async stop(): Promise<void> {
    this.#process.assertAlive();
    // SIGINT: fast shut-down, which does not wait for clients.
    await this.#process.stop('SIGINT');
  }
}

/** The directory of the newest installed version: Debian keeps servers off PATH, one directory each. */
export function findPrograms(): string {
  const versions = globSync('/usr/lib/postgresql/*/bin/postgres')
    .map((path) => path.replace(/\/postgres$/, ''))
    .sort((a, b) => Number(b.split('/')[4]) - Number(a.split('/')[4]));
  if (versions[0] === undefined) throw new Error('PostgreSQL is not installed. Mend: scripts/lib/setup');
  return versions[0];
}

export async function template(bin: string): Promise<string> {
  const version = (await must([join(bin, 'postgres'), '--version'])).replace(/[^\w.]+/g, '-').slice(0, 60);
  const path = join(CACHE_DIR, `cluster-2-${version}`);
  if (existsSync(path)) return path;
  mkdirSync(CACHE_DIR, { recursive: true, mode: 0o755 });
  const work = join(CACHE_DIR, `new-${process.pid}`);
  rmSync(work, { recursive: true, force: true });
  await must(['install', '-d', '-o', 'postgres', '-m', '0700', work]);
  const locale = ['--no-locale', '--encoding=UTF8'];
  await must(
    [
      ...asPostgres,
      join(bin, 'initdb'),
      '-D',
      work,
      '--no-sync',
      '--auth=reject',
      '-U',
      'postgres',
      ...locale,
    ],
    {
      cwd: CACHE_DIR,
    },
  );
  writeFileSync(
    join(work, 'pg_hba.conf'),
    'hostssl all all 0.0.0.0/0 scram-sha-256\nhostssl all all ::/0 scram-sha-256\n',
  );
  const single = [...asPostgres, join(bin, 'postgres'), '--single', '-D', work];
  await must([...single, 'postgres'], {
    cwd: CACHE_DIR,
    // Which is not the default of 13.
    input: `set password_encryption = 'scram-sha-256'\ncreate role ${POSTGRES.user} login password '${POSTGRES.password}'\ncreate database ${POSTGRES.database} owner ${POSTGRES.user}\n`,
  });
  await must([...single, POSTGRES.database], {
    cwd: CACHE_DIR,
    input: `create table vault (secret text)\ninsert into vault values ('${POSTGRES.rowMarker}')\ngrant all on vault to ${POSTGRES.user}\ngrant all on schema public to ${POSTGRES.user}\n`,
  });
  // Complete or not there at all: another run may look at the same moment.
  try {
    renameSync(work, path);
  } catch {
    rmSync(work, { recursive: true, force: true });
  }
  return path;
}
