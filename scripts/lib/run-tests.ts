/**
 * Runs checks and test files, each in a process of its own, and adds up what they report.
 *
 *   node scripts/lib/run-tests.ts [--jobs N] [--timeout SECONDS] [--filter TEXT]
 *                                 [--check COMMAND]... [--parallel PATH]... [PATH]... [--serial PATH]... [--beside PATH]...
 *                                 [--sum COMMAND]...
 *
 * Checks come first and count as one test each. Then the files under the `--parallel` paths (a bare PATH is
 * one of them) run N at a time, then those under the `--serial` paths one at a time: they share what the host
 * has only one of. They often wait, and so those under the `--beside` paths run meanwhile, N - 1 at a time and with
 * the processor time that is left; a file named there is none of the serial ones. Who is left of them when the serial ones
 * are through runs N at a time. Last come the commands to sum: each ends with a line `N passed, N failed` of its own, which is added.
 * The last line is `N passed, N failed` over everything, and nothing else; what was skipped is told before it.
 *
 * Every file is a plain program that writes TAP (it imports `tap`), so one file can also be run and debugged by
 * hand: `node test/unit/policy/decide.test.ts`. A file that dies, hangs past the time-out or reports no
 * assertion counts as one failure, and so does a path with no test file: silence is never a pass.
 *
 * Exit code: 0 all passed, 1 something failed, 2 wrong use, 130 interrupted.
 */
import { spawn } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { countTap } from './count-tap.ts';

interface Result {
  passed: number;
  failed: number;
  skipped: number;
  output: string;
  readonly seconds: number;
}

interface Job {
  readonly name: string;
  readonly command: readonly string[];
  /** A check passes by its exit code; a test file by what it reports as well, and so does a command to sum. */
  readonly kind: 'check' | 'file' | 'sum';
  /** How many times as long as others it may take. */
  readonly patience?: number;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    jobs: { type: 'string', default: String(availableParallelism()) },
    timeout: { type: 'string', default: '600' },
    filter: { type: 'string' },
    check: { type: 'string', multiple: true, default: [] },
    parallel: { type: 'string', multiple: true, default: [] },
    serial: { type: 'string', multiple: true, default: [] },
    beside: { type: 'string', multiple: true, default: [] },
    sum: { type: 'string', multiple: true, default: [] },
  },
});
const parallelPaths = [...values.parallel, ...positionals];
const named = [parallelPaths, values.serial, values.beside, values.check, values.sum];
if (named.flat().length === 0) {
  process.stderr.write(
    'usage: run-tests [--jobs N] [--timeout SECONDS] [--filter TEXT] [--check COMMAND] [--parallel PATH] [--serial PATH] [--beside PATH] [--sum COMMAND] PATH...\n',
  );
  process.exit(2);
}

const timeoutMs = Number(values.timeout) * 1000;
/** Commands bound themselves; this is for one that does not. A guest with all it is made of takes a third. */
const COMMAND_TIMEOUT_MS = 30 * 60_000;
/**
 * A ninth of the processor time where a serial test wants all of it. Not the idle class: the deadlines of tests are for
 * a slow machine, not for one that does not run them at all.
 */
const BESIDE_NICE = '10';
/** And those deadlines are longer then (test/support/patience.ts). */
const BESIDE_PATIENCE = process.env['SLUICE_TEST_PATIENCE'] ?? '4';
const running = new Set<number>();
const total = { passed: 0, failed: 0, skipped: 0 };
let interrupted = false;

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // It ended in the meantime.
  }
}

function judge(job: Job, stdout: string, output: string, ending: string | null): Omit<Result, 'seconds'> {
  if (job.kind === 'check') {
    const failed = ending === null ? 0 : 1;
    return {
      passed: 1 - failed,
      failed,
      skipped: 0,
      output: ending === null ? output : `${output}\n# ${ending}\n`,
    };
  }
  const result = { ...(job.kind === 'sum' ? lastLine(stdout) : countTap(stdout)), output };
  if (ending !== null && result.failed === 0) {
    result.failed = 1;
    result.output += `\n# ${ending}\n`;
  }
  if (result.passed + result.failed + result.skipped === 0) {
    result.failed = 1;
    result.output += '\n# reported no assertion\n';
  }
  return result;
}

/** What the last line says; nothing where it is no sum. */
function lastLine(stdout: string): Pick<Result, 'passed' | 'failed' | 'skipped'> {
  const last = stdout.trimEnd().split('\n').at(-1) ?? '';
  const [, passed, failed, skipped] = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/.exec(last) ?? [];
  return { passed: Number(passed ?? 0), failed: Number(failed ?? 0), skipped: Number(skipped ?? 0) };
}

function run(job: Job): Promise<Result> {
  const started = performance.now();
  const limitMs = (job.kind === 'file' ? timeoutMs : COMMAND_TIMEOUT_MS) * (job.patience ?? 1);
  return new Promise((resolve) => {
    const [program = '', ...args] = job.command;
    // A group of its own, so that a hung test is ended with everything it started.
    // The time-out here is the one that holds: tap's own would end a test that waits for its turn on the host.
    const env = { ...process.env, TAP_TIMEOUT: String(limitMs / 1000) };
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env });
    const pid = child.pid;
    if (pid !== undefined) running.add(pid);
    const all: Buffer[] = [];
    const out: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => {
      out.push(chunk);
      all.push(chunk);
    });
    child.stderr.on('data', (chunk: Buffer) => all.push(chunk));
    let ending: string | null = null;
    let killer: NodeJS.Timeout | undefined;
    const timer = setTimeout(() => {
      ending = `timed out after ${limitMs / 1000} s`;
      if (pid === undefined) return;
      // SIGTERM first: the kernel-plane tests take their namespaces and cgroups down on it.
      signalGroup(pid, 'SIGTERM');
      killer = setTimeout(() => signalGroup(pid, 'SIGKILL'), 15_000);
    }, limitMs);
    child.on('error', (error) => {
      ending = error.message;
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      clearTimeout(killer);
      if (pid !== undefined) running.delete(pid);
      if (ending === null && signal !== null) ending = `ended by ${signal}`;
      if (ending === null && code !== 0) ending = `ended with exit code ${code}`;
      const verdict = judge(job, Buffer.concat(out).toString(), Buffer.concat(all).toString(), ending);
      resolve({ ...verdict, seconds: (performance.now() - started) / 1000 });
    });
  });
}

function report(name: string, result: Result): void {
  total.passed += result.passed;
  total.failed += result.failed;
  total.skipped += result.skipped;
  const skipped = result.skipped > 0 ? `, ${result.skipped} skipped` : '';
  const failed = result.failed > 0 ? `, ${result.failed} failed` : '';
  process.stdout.write(
    `${result.failed > 0 ? 'FAIL' : 'ok  '} ${name} (${result.passed} passed${failed}${skipped}, ${result.seconds.toFixed(1)} s)\n`,
  );
  if (result.failed > 0 || result.skipped > 0)
    process.stdout.write(`${result.output.replace(/^/gm, '     ')}\n`);
}

/** Takes jobs off the queue until it is empty. */
async function lane(queue: Job[]): Promise<void> {
  for (let job = queue.shift(); job !== undefined && !interrupted; job = queue.shift()) {
    report(job.name, await run(job));
  }
}

async function runAll(jobs: readonly Job[], lanes: number): Promise<void> {
  const queue = [...jobs];
  await Promise.all(Array.from({ length: Math.max(1, lanes) }, () => lane(queue)));
}

/** What waits for its turn on the host, and meanwhile what does not need it: a lane that is through helps with the rest. */
async function runBeside(serial: readonly Job[], beside: readonly Job[], lanes: number): Promise<void> {
  const prefix = ['env', `SLUICE_TEST_PATIENCE=${BESIDE_PATIENCE}`, 'nice', '-n', BESIDE_NICE];
  const besides = (job: Job): Job => ({
    ...job,
    command: [...prefix, ...job.command],
    patience: Math.max(1, Number(BESIDE_PATIENCE) || 1),
  });
  const queue = beside.map(besides);
  const others = Array.from({ length: Math.max(0, lanes - 1) }, () => lane(queue));
  await Promise.all([lane([...serial]).then(() => lane(queue)), ...others]);
}

/** The test files under `paths`; a path that holds none is reported as a failure. */
function filesOf(paths: readonly string[]): Job[] {
  return paths.flatMap((path) => {
    const found = path.endsWith('.ts') ? [path].filter(existsSync) : globSync(`${path}/**/*.test.ts`);
    if (found.length === 0) {
      report(path, { passed: 0, failed: 1, skipped: 0, seconds: 0, output: '# no test file here' });
    }
    return found
      .filter((file) => values.filter === undefined || file.includes(values.filter))
      .sort()
      .map(
        (file): Job => ({
          name: file,
          command: [process.execPath, '--enable-source-maps', file],
          kind: 'file',
        }),
      );
  });
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    interrupted = true;
    for (const pid of running) signalGroup(pid, 'SIGTERM');
    setTimeout(() => process.exit(130), 15_000).unref();
  });
}

const checks = values.check.map((text): Job => ({ name: text, command: ['sh', '-c', text], kind: 'check' }));
await runAll(checks, 1);
await runAll(filesOf(parallelPaths), Number(values.jobs));
const beside = filesOf(values.beside);
const apart = new Set(beside.map(({ name }) => name));
const serial = filesOf(values.serial).filter(({ name }) => !apart.has(name));
await runBeside(serial, beside, Number(values.jobs));
const sums = values.sum.map((text): Job => ({ name: text, command: ['sh', '-c', text], kind: 'sum' }));
await runAll(sums, 1);

if (total.skipped > 0) process.stdout.write(`${total.skipped} skipped, for the reasons above\n`);
process.stdout.write(`${total.passed} passed, ${total.failed} failed\n`);
const ranNothing = total.passed + total.failed + total.skipped === 0;
process.exitCode = interrupted ? 130 : total.failed > 0 || ranNothing ? 1 : 0;
