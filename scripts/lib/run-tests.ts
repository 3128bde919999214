/**
 * Runs test files, each in a process of its own, and adds up what they report.
 *
 *   node scripts/lib/run-tests.ts [--jobs N] [--timeout SECONDS] [--filter TEXT] DIR...
 *
 * Every file is a plain program that writes TAP (it imports `tap`), so one file can also be run and
 * debugged by hand: `node test/unit/policy/decide.test.ts`. A file that dies, hangs past the time-out
 * or reports no assertion counts as one failure: silence is never a pass.
 *
 * Exit code: 0 all passed, 1 something failed, 2 wrong use.
 */
import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Parser } from 'tap-parser';

interface FileResult {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly output: string;
  readonly seconds: number;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    jobs: { type: 'string', default: String(availableParallelism()) },
    timeout: { type: 'string', default: '120' },
    filter: { type: 'string' },
  },
});
if (positionals.length === 0) {
  process.stderr.write('usage: run-tests [--jobs N] [--timeout SECONDS] [--filter TEXT] DIR...\n');
  process.exit(2);
}

const timeoutMs = Number(values.timeout) * 1000;
const running = new Set<number>();

function countLeaves(text: string): { passed: number; failed: number; skipped: number } {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const watch = (parser: Parser): void => {
    let hadChild = false;
    parser.on('child', (child: Parser) => {
      hadChild = true;
      watch(child);
    });
    parser.on('assert', (result) => {
      // The line that closes a subtest repeats what its own assertions said already.
      const closesSubtest = hadChild;
      hadChild = false;
      if (result.skip) counts.skipped += 1;
      else if (!result.ok) counts.failed += closesSubtest ? 0 : 1;
      else if (!closesSubtest) counts.passed += 1;
    });
  };
  const parser = new Parser();
  watch(parser);
  parser.end(text);
  if (!parser.results?.ok && counts.failed === 0) counts.failed = 1;
  return counts;
}

function runFile(file: string): Promise<FileResult> {
  const started = performance.now();
  return new Promise((resolve) => {
    // A group of its own, so that a hung test is ended with everything it started.
    const child = spawn(process.execPath, ['--enable-source-maps', file], {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    const pid = child.pid ?? 0;
    running.add(pid);
    const chunks: Buffer[] = [];
    let stdout = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString('utf8');
      chunks.push(chunk);
    });
    child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
    let timedOut = false;
    let killer: NodeJS.Timeout | undefined;
    const timer = setTimeout(() => {
      timedOut = true;
      // SIGTERM first: the kernel-plane tests take their namespaces and cgroups down on it.
      process.kill(-pid, 'SIGTERM');
      killer = setTimeout(() => process.kill(-pid, 'SIGKILL'), 10_000);
    }, timeoutMs);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      clearTimeout(killer);
      running.delete(pid);
      const counts = countLeaves(stdout);
      let output = Buffer.concat(chunks).toString('utf8');
      if (timedOut) output += `\n# timed out after ${timeoutMs / 1000} s\n`;
      if ((code !== 0 || signal !== null) && counts.failed === 0) {
        counts.failed = 1;
        output += `\n# ended with ${signal ?? `exit code ${code}`}\n`;
      }
      if (counts.passed + counts.failed + counts.skipped === 0) {
        counts.failed = 1;
        output += '\n# reported no assertion\n';
      }
      resolve({ ...counts, output, seconds: (performance.now() - started) / 1000 });
    });
  });
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    for (const pid of running) {
      try {
        process.kill(-pid, 'SIGTERM');
      } catch {
        // It ended in the meantime.
      }
    }
    setTimeout(() => process.exit(130), 5_000).unref();
  });
}

const files = positionals
  .flatMap((path) => (path.endsWith('.ts') ? [path] : globSync(`${path}/**/*.test.ts`)))
  .filter((file) => values.filter === undefined || file.includes(values.filter))
  .sort();
const total = { passed: 0, failed: 0, skipped: 0 };
const queue = [...files];

async function lane(): Promise<void> {
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
    const result = await runFile(file);
    total.passed += result.passed;
    total.failed += result.failed;
    total.skipped += result.skipped;
    const mark = result.failed > 0 ? 'FAIL' : 'ok  ';
    const skipped = result.skipped > 0 ? `, ${result.skipped} skipped` : '';
    process.stdout.write(
      `${mark} ${file} (${result.passed} passed${skipped}, ${result.seconds.toFixed(1)} s)\n`,
    );
    if (result.failed > 0 || result.skipped > 0) process.stdout.write(result.output.replace(/^/gm, '     '));
  }
}

await Promise.all(Array.from({ length: Math.max(1, Number(values.jobs)) }, lane));
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
process.stdout.write(`${total.passed} passed, ${total.failed} failed${skipped}\n`);
process.exitCode = total.failed > 0 || files.length === 0 ? 1 : 0;
