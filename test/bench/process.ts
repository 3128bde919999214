/**
 * Starts and ends the benchmark's processes: in a namespace, on a processor, and never outliving us.
 *
 * Every wrapper (nsenter, taskset, setpriv) ends in exec, so the pid we get is the program's own. The parent
 * death signal takes the program down even when the benchmark itself is killed.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const START_LIMIT_MS = 20_000;
const STOP_LIMIT_MS = 10_000;

export interface Place {
  /** Path of a network namespace file. */
  readonly netns: string;
  readonly cpu: number;
  readonly user?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

function placed(place: Place, argv: readonly string[]): string[] {
  const user =
    place.user === undefined ? [] : ['--reuid', place.user, '--regid', place.user, '--init-groups'];
  return [
    ...['nsenter', `--net=${place.netns}`, 'taskset', '-c', String(place.cpu)],
    ...['setpriv', '--pdeathsig', 'TERM', ...user, '--', ...argv],
  ];
}

export interface Service {
  readonly pid: number;
  /** Ends it with `signal`, then with SIGKILL when it does not go; idempotent. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Starts a program that stays; what it prints goes to `logFile`. Throws when it cannot be started. */
export function startService(
  place: Place,
  argv: readonly string[],
  logFile: string,
): Service & { log(): string } {
  const log = openSync(logFile, 'a');
  const [command, ...args] = placed(place, argv);
  const child = spawn(command ?? '', args, {
    stdio: ['ignore', log, log],
    env: { ...process.env, ...place.env },
    ...(place.cwd === undefined ? {} : { cwd: place.cwd }),
    // A group of its own: Ctrl-C is ours to handle, in our order.
    detached: true,
  });
  closeSync(log);
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  if (child.pid === undefined) throw new Error(`cannot start ${argv[0]}`);
  return {
    pid: child.pid,
    log: () => readFileSync(logFile, 'utf8').trim().split('\n').slice(-8).join('\n'),
    async stop(signal = 'SIGTERM') {
      if (hasEnded(child)) return;
      child.kill(signal);
      const killer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
      await ended;
      clearTimeout(killer);
    },
  };
}

/** Waits until somebody in the process's namespace listens on every port. Throws when the process ends first. */
export async function waitForPorts(
  service: Service & { log(): string },
  ports: readonly number[],
  signal: AbortSignal,
): Promise<void> {
  const wanted = ports.map((port) => `:${port.toString(16).toUpperCase().padStart(4, '0')}`);
  for (
    const end = performance.now() + START_LIMIT_MS;
    performance.now() < end;
    await sleep(20, null, { signal })
  ) {
    let table: string;
    try {
      table = ['tcp', 'tcp6']
        .map((name) => readFileSync(`/proc/${service.pid}/net/${name}`, 'utf8'))
        .join('');
    } catch {
      break;
    }
    // proc_net_tcp: local address, remote address, state; 0A is LISTEN.
    const listening = table.split('\n').map((line) => line.trim().split(/\s+/));
    const open = (port: string): boolean =>
      listening.some((row) => row[1]?.endsWith(port) && row[3] === '0A');
    if (wanted.every(open)) return;
  }
  throw new Error(`process ${service.pid} does not listen on ${ports.join(', ')}:\n${service.log()}`);
}

export interface Finished {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. Throws with what it said on any exit code but 0. */
export function runPlaced(place: Place, argv: readonly string[], signal: AbortSignal): Promise<Finished> {
  const [command, ...args] = placed(place, argv);
  return new Promise((resolve, reject) => {
    const child = spawn(command ?? '', args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...place.env },
      ...(place.cwd === undefined ? {} : { cwd: place.cwd }),
      detached: true,
      signal,
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString('utf8');
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString('utf8');
    });
    child.once('error', reject);
    child.once('close', (code, by) => {
      if (code === 0) resolve({ stdout, stderr });
      else reject(new Error(`${argv.join(' ')}: ended with ${by ?? code}\n${stderr || stdout}`));
    });
  });
}

export interface Held {
  /** The next line it prints. Rejects when it ends first. */
  line(): Promise<string>;
  /** Ends its standard input, its sign to go, and waits until it has gone. */
  release(): Promise<void>;
}

/** Starts a program that prints what it has reached and then waits for its standard input to end. */
export function startHeld(place: Place, argv: readonly string[], signal: AbortSignal): Held {
  const [command, ...args] = placed(place, argv);
  const child = spawn(command ?? '', args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...place.env },
    detached: true,
    signal,
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString('utf8');
  });
  child.stdin.on('error', () => {});
  const ended = new Promise<void>((resolve) => {
    child.once('error', () => resolve());
    child.once('close', () => resolve());
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async line() {
      const next = await lines.next();
      if (!next.done) return next.value;
      await ended;
      signal.throwIfAborted();
      throw new Error(`${argv.join(' ')}: ended early\n${stderr}`);
    },
    async release() {
      child.stdin.end();
      await ended;
    },
  };
}

/** Runs a short set-up command where we are. Throws with what it said on any exit code but 0. */
export function run(argv: readonly string[], input?: string): string {
  const [command, ...args] = argv;
  const done = spawnSync(command ?? '', args, {
    encoding: 'utf8',
    ...(input === undefined ? {} : { input }),
  });
  if (done.status !== 0) {
    throw new Error(`${argv.join(' ')}: ${done.error?.message ?? done.stderr.trim()}`);
  }
  return done.stdout;
}
