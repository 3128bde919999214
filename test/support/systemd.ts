/**
 * Sluice as README installs it, as units of a real systemd. Only for a guest (test/vm): it writes to /etc and to
 * /usr/local, where a host's own things are.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { ApiClient } from '#src/api/client.ts';
import { apiSocketPath } from '#src/api/paths.ts';
import { type Finished, must, run, until } from './command.ts';
import { diedAtItsStart } from './patience.ts';

const checkout = join(import.meta.dirname, '../..');
export const POLICY_FILE = '/etc/sluice/policy.yaml';
const RUNTIME_DIRECTORY = '/run/sluice';
/** Where `install` puts the command. */
export const COMMAND = '/usr/local/sbin/sluice';
const UNITS = '/etc/systemd/system';

/** Properties of a unit, by systemctl show. */
export async function show(unit: string, ...names: string[]): Promise<Record<string, string>> {
  const text = await must(['systemctl', 'show', unit, `--property=${names.join(',')}`]);
  return Object.fromEntries(
    text.split('\n').flatMap((line) => {
      const at = line.indexOf('=');
      return at < 0 ? [] : [[line.slice(0, at), line.slice(at + 1)]];
    }),
  );
}

/** Writes unit files, by name: `x.service`, or `x.service.d/y.conf`. Null takes one away. */
export async function writeUnits(units: Readonly<Record<string, string | null>>): Promise<void> {
  for (const [name, text] of Object.entries(units)) {
    const file = join(UNITS, name);
    mkdirSync(dirname(file), { recursive: true });
    if (text === null) rmSync(file, { force: true });
    else writeFileSync(file, text);
  }
  await must(['systemctl', 'daemon-reload']);
}

/** A service that runs one command to its end, whose output is kept in files. */
export class CommandUnit {
  readonly name: string;
  readonly #output: string;

  private constructor(name: string, directory: string) {
    this.name = name;
    this.#output = join(directory, `${name}.out`);
  }

  /** @param unit its [Service] lines beside ExecStart; a template where the name has an `@` */
  static async make(name: string, directory: string, command: string, unit = ''): Promise<CommandUnit> {
    const made = new CommandUnit(name, directory);
    const output = `StandardOutput=append:${made.#output}\nStandardError=append:${made.#output}\n`;
    await writeUnits({
      [name.replace(/@.*\./, '@.')]: `[Service]\nType=oneshot\nExecStart=${command}\n${output}${unit}`,
    });
    return made;
  }

  /** Starts it and waits for its end. `code` is the command's own. */
  async run(): Promise<{ readonly code: number; readonly output: string }> {
    rmSync(this.#output, { force: true });
    await run(['systemctl', 'start', this.name]);
    const { ExecMainStatus } = await show(this.name, 'ExecMainStatus');
    await run(['systemctl', 'reset-failed', this.name]);
    return {
      code: Number(ExecMainStatus),
      output: existsSync(this.#output) ? readFileSync(this.#output, 'utf8') : '',
    };
  }
}

/** The user workers run as, which README has made at installation. */
export function makeWorkerUser(): Promise<string> {
  const user =
    'id sluice || useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin sluice';
  return must(['sh', '-c', user]);
}

/** README's steps after the build. */
export async function install(policy: string): Promise<ApiClient> {
  await makeWorkerUser();
  mkdirSync(dirname(POLICY_FILE), { recursive: true });
  writeFileSync(POLICY_FILE, policy);
  if (!existsSync(COMMAND)) symlinkSync(join(checkout, 'bin/sluice'), COMMAND);
  copyFileSync(join(checkout, 'packaging/systemd/sluice.service'), join(UNITS, 'sluice.service'));
  // What a slow machine needs; the unit itself stays as it is shipped.
  await writeUnits({
    'sluice.service.d/slow.conf': '[Service]\nTimeoutStartSec=infinity\nTimeoutStopSec=infinity\n',
  });
  return new ApiClient(apiSocketPath(RUNTIME_DIRECTORY));
}

/** Any command of the CLI, as an operator types it. */
export async function sluice(...argv: string[]): Promise<Finished> {
  const once = (): Promise<Finished> => run([COMMAND, ...argv], { timeoutMs: 60_000 });
  const done = await once();
  return diedAtItsStart(done) ? once() : done;
}

export function whenActive(unit: string, wanted: string): Promise<true> {
  return until(
    `${unit} to be ${wanted}`,
    async () => (await show(unit, 'ActiveState'))['ActiveState'] === wanted,
    30_000,
  ).then(() => true as const);
}
