/** What scripts/test-vm runs once the machine is set up: see test/vm/options.ts for its usage. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../src/core/errors.ts';
import { Keeper } from '../test/support/bypass/keeper.ts';
import type { MatrixResult } from '../test/support/bypass/types.ts';
import { Cache, clearScratch } from '../test/vm/cache.ts';
import { CannotRun, requireMachine, requireTools, VM_TOOLS } from '../test/vm/cannot.ts';
import { hasKernel } from '../test/vm/kernel.ts';
import { type Options, parseOptions, USAGE } from '../test/vm/options.ts';
import { briefTestsFor, PAIRS, type Pair, testsFor } from '../test/vm/pairs.ts';
import { prepare, runGuest } from '../test/vm/qemu.ts';
import { hasTree } from '../test/vm/root.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const total = { passed: 0, failed: 0, skipped: 0 };

function say(text: string): void {
  process.stdout.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);
}

function list(): void {
  // `scripts/test-vm --list | head`: the reader has what it wanted.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  const cache = new Cache();
  for (const pair of PAIRS) {
    const ready = hasKernel(cache, pair.kernel) && hasTree(cache, pair.suite);
    process.stdout.write(
      `${pair.name.padEnd(22)} ${pair.expects.padEnd(8)} ${ready ? 'built' : 'to be built'}\n`,
    );
    for (const test of testsFor(pair)) process.stdout.write(`  ${test}\n`);
  }
}

function printTotal(): void {
  const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
  process.stdout.write(`${total.passed} passed, ${total.failed} failed${skipped}\n`);
}

async function runPair(cache: Cache, pair: Pair, options: Options, scratch: string): Promise<void> {
  const started = performance.now();
  const { filters } = options;
  const fits = (file: string): boolean => filters.some((text) => file.includes(text));
  const all = options.brief ? briefTestsFor(pair) : testsFor(pair);
  const tests = all.filter((file) => filters.length === 0 || fits(file));
  if (tests.length === 0) throw new Error(`no payload of ${pair.name} fits --filter`);
  say(`${pair.name}: preparing`);
  await prepare(cache, pair);
  if (options.prepareOnly) return;
  say(`${pair.name}: booting, with ${tests.length} test files`);
  const directory = join(options.keep ?? scratch, pair.name.replaceAll('/', '-'));
  const onLine = (line: string): void => say(`${pair.name}: ${line}`);
  const { bypass, limitMinutes } = options;
  const keeper = new Keeper(bypass === 'missing');
  const keeping = options.keepsBypass ? { onMatrix: (known: MatrixResult): void => keeper.take(known) } : {};
  const guest = runGuest(cache, pair, { tests, bypass, limitMinutes, ...keeping, directory, onLine });
  const verdict = await guest.finally(() => keeper.close());
  // A guest that passes nothing and fails nothing has shown nothing.
  const broken = verdict.exitCode !== 0 && verdict.failed === 0;
  total.passed += verdict.passed;
  total.failed += verdict.failed + (broken ? 1 : 0);
  total.skipped += verdict.skipped;
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  say(`${pair.name}: ${verdict.passed} passed, ${verdict.failed} failed, ${seconds} s`);
}

async function main(options: Options): Promise<void> {
  requireMachine();
  requireTools(VM_TOOLS);
  const cache = new Cache(undefined, options.refresh);
  const scratch = mkdtempSync(join(tmpdir(), 'sluice-vm-'));
  // However this ends: children get SIGKILL from the kernel (test/support/command.ts), and files go here.
  process.on('exit', () => {
    rmSync(scratch, { recursive: true, force: true });
    clearScratch(cache.directory);
  });
  for (const [signal, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
    ['SIGHUP', 1],
  ] as const)
    process.on(signal, () => process.exit(128 + number));
  for (const pair of options.pairs)
    await runPair(cache, pair, options, scratch).catch((error: unknown) => {
      if (error instanceof CannotRun) throw error;
      total.failed += 1;
      say(`${pair.name}: ${messageOf(error)}`);
    });
}

async function run(argv: readonly string[]): Promise<number> {
  let options: Options;
  try {
    options = parseOptions(argv);
  } catch (error) {
    process.stderr.write(`scripts/test-vm: ${messageOf(error)}\n\n${USAGE}`);
    return EXIT_USAGE;
  }
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (options.list) {
    list();
    return 0;
  }
  try {
    await main(options);
  } catch (error) {
    if (!(error instanceof CannotRun)) throw error;
    process.stdout.write(`scripts/test-vm: guests cannot run here: ${error.message}\n`);
    if (options.ifPossible) total.skipped += 1;
    else total.failed += 1;
  }
  printTotal();
  return total.failed > 0 ? EXIT_FAILED : 0;
}

process.exitCode = await run(process.argv.slice(2));
