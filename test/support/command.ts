/**
 * Runs programs for the tests: collects what they print, waits for what they say, ends them.
 *
 * Every child gets SIGKILL from the kernel when the test process dies, however it dies (`setpriv --pdeathsig`),
 * so that not even a killed test leaves a server behind. Bounds on waiting are for a machine of usual speed, and are
 * stretched on a slow one (patience.ts). They are long: what comes is there at once, and on a busy machine some seconds
 * pass in which one of those that have to do with it does not run.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { patience } from './patience.ts';

/** For what is there within a second where nothing else runs. */
const LONG_MS = 60_000;

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Written to stdin, which is then closed. Without it stdin is /dev/null. */
  readonly input?: string | Buffer;
  /** SIGKILL after this long; the result says so. */
  readonly timeoutMs?: number;
}

export interface Finished {
  readonly stdout: string;
  readonly stderr: string;
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly timedOut: boolean;
  readonly ms: number;
}

/** A program that goes on running beside the test. */
export class Running {
  readonly pid: number;
  readonly finished: Promise<Finished>;
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #watchers = new Set<() => void>();
  #stdout = '';
  #stderr = '';
  #ended = false;

  constructor(argv: readonly string[], options: CommandOptions & { readonly keepStdin?: boolean } = {}) {
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...argv], {
      stdio: [options.input === undefined && !options.keepStdin ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    this.#child = child;
    this.#name = argv.join(' ');
    this.pid = child.pid ?? 0;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
      this.#notify();
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
      this.#notify();
    });
    // A program that ends without reading its input is no failure of the test.
    child.stdin?.on('error', () => {});
    if (options.input !== undefined) child.stdin?.end(options.input);
    this.finished = this.#finish(options.timeoutMs);
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  get ended(): boolean {
    return this.#ended;
  }

  write(text: string): void {
    this.#child.stdin?.write(text);
  }

  endInput(): void {
    this.#child.stdin?.end();
  }

  kill(signal: NodeJS.Signals): void {
    if (!this.#ended) this.#child.kill(signal);
  }

  /** Waits until `seen` holds for what it has printed. Throws when it ends before, or after `timeoutMs`. */
  waitFor(seen: (running: this) => boolean, timeoutMs = LONG_MS): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error?: Error): void => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        if (error) reject(error);
        else resolve();
      };
      const told = (what: string): Error =>
        new Error(`${this.#name}: ${what}\n${this.#stdout.slice(-4000)}\n${this.#stderr.slice(-4000)}`);
      const look = (): void => {
        if (seen(this)) settle();
        else if (this.#ended) settle(told('ended before it was ready'));
      };
      const patientMs = timeoutMs * patience;
      const timer = setTimeout(() => settle(told(`was not ready in ${patientMs} ms`)), patientMs);
      this.#watchers.add(look);
      look();
    });
  }

  /** Throws when it is no longer there: for programs that should have lasted. */
  assertAlive(): void {
    if (this.#ended)
      throw new Error(
        `${this.#name} ended by itself:\n${this.#stdout.slice(-4000)}\n${this.#stderr.slice(-4000)}`,
      );
  }

  /** Asks it to end, and makes it end after `graceMs`. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', graceMs = 30_000): Promise<Finished> {
    this.kill(signal);
    const timer = setTimeout(() => this.kill('SIGKILL'), graceMs * patience);
    const finished = await this.finished;
    clearTimeout(timer);
    return finished;
  }

  #notify(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }

  #finish(timeoutMs: number | undefined): Promise<Finished> {
    const started = performance.now();
    let timedOut = false;
    const killer =
      timeoutMs === undefined
        ? undefined
        : setTimeout(() => {
            timedOut = true;
            this.#child.kill('SIGKILL');
          }, timeoutMs * patience);
    return new Promise((resolve) => {
      const end = (code: number | null, signal: NodeJS.Signals | null): void => {
        clearTimeout(killer);
        this.#ended = true;
        this.#notify();
        const ms = performance.now() - started;
        resolve({ stdout: this.#stdout, stderr: this.#stderr, code, signal, timedOut, ms });
      };
      this.#child.on('error', (error) => {
        this.#stderr += `${error.message}\n`;
        end(127, null);
      });
      // `exit`, then what is left in the pipes: a grandchild that keeps them open must not hang the test.
      this.#child.on('exit', (code, signal) => {
        // A turn later: when this process stood still meanwhile, what came in that time is read first.
        const drained = setTimeout(() => setImmediate(end, code, signal), 2_000 * patience);
        this.#child.on('close', () => {
          clearTimeout(drained);
          end(code, signal);
        });
      });
    });
  }
}

/** For the message of an error: by what, and what it had said. */
export function howItEnded({ code, signal, stdout, stderr }: Finished): string {
  return `(${signal ?? `exit code ${code}`})\n${stdout}${stderr}`;
}

/** Runs a program to its end. Does not throw for a failing one: the caller looks at `code`. */
export function run(argv: readonly string[], options: CommandOptions = {}): Promise<Finished> {
  return new Running(argv, { timeoutMs: 2 * LONG_MS, ...options }).finished;
}

/** As `run`, for steps of the test world itself, which must succeed. Returns stdout. */
export async function must(argv: readonly string[], options: CommandOptions = {}): Promise<string> {
  const finished = await run(argv, options);
  if (finished.code !== 0) throw new Error(`${argv.join(' ')} failed ${howItEnded(finished)}`);
  return finished.stdout;
}

/**
 * Waits until `probe` gives a value other than null, undefined or false; for what has no event to wait for.
 * Throws with `what` after `timeoutMs`.
 */
export async function until<T>(
  what: string,
  probe: () => T | null | undefined | false | Promise<T | null | undefined | false>,
  timeoutMs = LONG_MS,
): Promise<T> {
  const patientMs = timeoutMs * patience;
  const end = performance.now() + patientMs;
  for (;;) {
    // Whoever was stopped himself looks once more.
    const isLast = performance.now() > end;
    const value = await probe();
    if (value !== null && value !== undefined && value !== false) return value;
    if (isLast) throw new Error(`waited ${patientMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
