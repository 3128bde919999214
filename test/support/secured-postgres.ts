/**
 * A real PostgreSQL with TLS on a port of loopback, for tests of what a session begins with: no network of its own, no kernel plane,
 * no lock. Who is let in how is the test's to say.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must, Running, until } from './command.ts';
import { freePort } from './listening.ts';
import { Pki } from './pki.ts';
import { asPostgres, findPrograms, POSTGRES, template } from './postgres.ts';

export interface SecuredOptions {
  /** Lines of pg_hba.conf. */
  readonly hba: readonly string[];
  /** Where its programs are; default: the newest installed. */
  readonly bin?: string;
  readonly settings?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  /** Put before the server's command; it must exec what follows. */
  readonly wrapper?: readonly string[];
}

export class SecuredPostgres {
  /** Others may pass through it. */
  readonly dir: string;
  readonly port: number;
  readonly pki: Pki;
  readonly #process: Running;

  private constructor(dir: string, port: number, pki: Pki, process: Running) {
    this.dir = dir;
    this.port = port;
    this.pki = pki;
    this.#process = process;
  }

  static async start(options: SecuredOptions): Promise<SecuredPostgres> {
    const { hba, bin = findPrograms(), settings = {}, env = {}, wrapper = [] } = options;
    const dir = mkdtempSync('/tmp/sluice-secured-');
    await must(['chmod', '0755', dir]);
    const data = join(dir, 'data');
    await must(['cp', '-a', '--reflink=auto', await template(bin), data]);
    const pki = await Pki.make(join(dir, 'pki'), 'Sluice test CA');
    const { cert, key } = await pki.issue(POSTGRES.name);
    await must(['install', '-o', 'postgres', '-m', '0600', key, join(data, 'server.key')]);
    await must(['install', '-o', 'postgres', '-m', '0600', cert, join(data, 'server.crt')]);
    await must(['install', '-o', 'postgres', '-m', '0600', pki.ca, join(data, 'root.crt')]);
    writeFileSync(join(data, 'pg_hba.conf'), `${['local all postgres trust', ...hba].join('\n')}\n`);
    const port = await freePort();
    const all = Object.entries({
      listen_addresses: '127.0.0.1',
      port: String(port),
      unix_socket_directories: data,
      ssl: 'on',
      ssl_cert_file: 'server.crt',
      ssl_key_file: 'server.key',
      ssl_ca_file: 'root.crt',
      fsync: 'off',
      log_connections: 'on',
      log_statement: 'all',
      ...settings,
    }).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const process = new Running([...wrapper, ...asPostgres, join(bin, 'postgres'), '-D', data, ...all], {
      cwd: dir,
      env,
    });
    await process.waitFor((running) => running.stderr.includes('ready to accept connections'));
    return new SecuredPostgres(dir, port, pki, process);
  }

  get log(): string {
    return this.#process.stderr;
  }

  waitForLog(pattern: RegExp): Promise<string> {
    return until(`${pattern} in PostgreSQL's log`, () => pattern.exec(this.log)?.[0]);
  }

  /** As its superuser, by its Unix socket. */
  async administer(sql: string): Promise<string> {
    const where = ['-h', join(this.dir, 'data'), '-p', String(this.port), '-U', 'postgres'];
    return must(['psql', '-XAtq', ...where, '-v', 'ON_ERROR_STOP=1', '-f', '-', POSTGRES.database], {
      input: sql,
    });
  }

  async stop(): Promise<void> {
    await this.#process.stop('SIGINT');
    rmSync(this.dir, { recursive: true, force: true });
  }
}
