/**
 * A real PostgreSQL on a Unix socket of its own, for tests of what is read and masked: no network, no kernel plane, no
 * lock. Everybody is let in as whom they say; the directory is its owner's alone.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must, Running, run, until } from './command.ts';
import { asPostgres, findPrograms, template } from './postgres.ts';

const PORT = '5432';

interface PsqlOptions {
  readonly user?: string;
  readonly host?: string;
  readonly encoding?: string;
}

export class ScratchPostgres {
  /** Where its socket is. */
  readonly dir: string;
  readonly #process: Running;
  #looks = 0;

  private constructor(dir: string, process: Running) {
    this.dir = dir;
    this.#process = process;
  }

  static async start(settings: Readonly<Record<string, string>> = {}): Promise<ScratchPostgres> {
    const bin = findPrograms();
    const dir = mkdtempSync('/tmp/sluice-scratch-');
    const data = join(dir, 'data');
    await must(['cp', '-a', '--reflink=auto', await template(bin), data]);
    const hba = join(dir, 'hba.conf');
    writeFileSync(hba, 'local all all trust\n');
    await must(['chown', '-R', 'postgres:', dir]);
    const options = Object.entries({
      listen_addresses: '',
      port: PORT,
      unix_socket_directories: dir,
      hba_file: hba,
      fsync: 'off',
      full_page_writes: 'off',
      ...settings,
    }).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const process = new Running([...asPostgres, join(bin, 'postgres'), '-D', data, ...options], { cwd: dir });
    await process.waitFor((running) => running.stderr.includes('ready to accept connections'));
    return new ScratchPostgres(dir, process);
  }

  get socket(): string {
    return join(this.dir, `.s.PGSQL.${PORT}`);
  }

  get log(): string {
    return this.#process.stderr;
  }

  /** All of it up to now: what was run has been logged by then, and what was logged has come here. */
  async wholeLog(): Promise<string> {
    this.#looks += 1;
    const last = `look ${this.#looks};`;
    await this.psql(`do $$ begin raise log '${last}'; end $$;`);
    await until(`'${last}' in PostgreSQL's log`, () => this.log.includes(`LOG:  ${last}`));
    return this.log;
  }

  /** Runs a script as psql does, in one session that goes on after errors. @returns what it says */
  async psql(script: string, options: PsqlOptions = {}) {
    const { user = 'postgres', host = this.dir, encoding = 'UTF8' } = options;
    const connection = `host=${host} port=${PORT} user=${user} dbname=shop sslmode=disable client_encoding=${encoding}`;
    return run(['psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-f', '-', connection], { input: script });
  }

  async stop(): Promise<void> {
    await this.#process.stop('SIGINT');
    rmSync(this.dir, { recursive: true, force: true });
  }
}
