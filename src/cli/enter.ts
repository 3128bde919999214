/**
 * Starting a command inside a cgroup with no moment outside it: a shell moves itself in and only then
 * becomes the command. If it cannot move, nothing is run. The shell uses no variable, because it would
 * hand it on to the command.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { EXIT_RUN_FAILED, EXIT_SIGNAL_BASE } from './exit-codes.ts';

/** $0: name in the shell's messages; $1: directory of the cgroup; $2: signals to ignore; then the command. */
const ENTER_SCRIPT = `
{ echo "$$" >"$1/cgroup.procs"; } 2>/dev/null || {
  echo "sluice: cannot enter the cgroup $1; the command was not run" >&2
  exit ${EXIT_RUN_FAILED}
}
[ -z "$2" ] || trap '' $2
shift 2
exec "$@"
`;

export interface EnterOptions {
  readonly cgroupPath: string;
  readonly env: NodeJS.ProcessEnv;
  readonly ignored: readonly NodeJS.Signals[];
}

/** Starts `command` with this process's standard input, output and error. */
export function spawnInCgroup(command: readonly string[], options: EnterOptions): ChildProcess {
  const ignored = options.ignored.map((signal) => signal.replace(/^SIG/, '')).join(' ');
  return spawn('/bin/sh', ['-c', ENTER_SCRIPT, 'sluice', options.cgroupPath, ignored, ...command], {
    stdio: 'inherit',
    env: options.env,
  });
}

/** The exit code to pass on when it has ended. Rejects if the shell itself could not be started. */
export async function exitCodeOf(child: ChildProcess): Promise<number> {
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  return signal === null ? (code ?? EXIT_RUN_FAILED) : EXIT_SIGNAL_BASE + constants.signals[signal];
}
