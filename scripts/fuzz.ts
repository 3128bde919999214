/** What scripts/fuzz runs: targets of test/fuzz in turn, each for its share of the time, from one seed on. */
import { randomInt } from 'node:crypto';
import { parseFuzzOptions } from '../test/fuzz/options.ts';
import { type Failure, runTarget } from '../test/fuzz/run.ts';
import { TARGETS } from '../test/fuzz/targets/index.ts';

const EXIT_FOUND = 1;
const EXIT_USAGE = 2;
/** Longer batches find no more, and shorter ones begin anew too often. */
const BATCH_MS = 5_000;
const BATCH_ROUNDS = 100_000;

function tell({ target, seed, path, input, error, shrinks }: Failure): void {
  process.stdout.write(
    `\nFOUND by ${target}, made smaller ${shrinks} times:\n  ${input}\n  ${error.replaceAll('\n', '\n  ')}\n` +
      `again: scripts/fuzz --target ${target} --seed=${seed} --path ${path}\n`,
  );
}

async function main(): Promise<number> {
  const names = TARGETS.map(({ name }) => name);
  const options = parseFuzzOptions(process.argv.slice(2), names);
  if (options.kind !== 'run') {
    (options.kind === 'help' ? process.stdout : process.stderr).write(options.text);
    return options.kind === 'help' ? 0 : EXIT_USAGE;
  }
  const seed = options.seed ?? randomInt(2 ** 31);
  const targets = TARGETS.filter(({ name }) => options.targets.includes(name));
  process.stdout.write(`seed ${seed}, ${options.seconds} s, ${targets.length} targets\n`);
  if (options.path !== null) {
    const [target] = targets;
    if (target === undefined) return EXIT_USAGE;
    const { failure } = await runTarget(target, { seed, rounds: BATCH_ROUNDS, path: options.path });
    if (failure !== null) tell(failure);
    return failure === null ? 0 : EXIT_FOUND;
  }
  let found = 0;
  const end = performance.now() + options.seconds * 1_000;
  const share = Math.min(BATCH_MS, (options.seconds * 1_000) / targets.length);
  const rounds = new Map<string, number>();
  const failed = new Set<string>();
  for (let batch = 0; performance.now() < end && failed.size < targets.length; batch += 1) {
    for (const target of targets) {
      if (failed.has(target.name) || performance.now() >= end) continue;
      // Each batch has a seed of its own, which is what is told of a failure.
      const report = await runTarget(target, {
        seed: (seed + batch) | 0,
        rounds: BATCH_ROUNDS,
        budgetMs: share,
      });
      rounds.set(target.name, (rounds.get(target.name) ?? 0) + report.rounds);
      if (report.failure === null) continue;
      found += 1;
      failed.add(target.name);
      tell(report.failure);
    }
  }
  for (const [name, count] of rounds)
    process.stdout.write(`${name}: ${count} inputs${failed.has(name) ? ', FAILED' : ''}\n`);
  return found === 0 ? 0 : EXIT_FOUND;
}

process.exitCode = await main();
