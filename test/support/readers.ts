/**
 * What every reader of foreign bytes is held to, in one place: the same result however the bytes are cut, and for
 * broken bytes a value or the typed error and nothing else.
 */
import type { Test } from 'tap';
import type { Outcome } from './outcome.ts';
import { mutate, seededRandom, splitsOf } from './splits.ts';

/** Reads one stream, given in chunks, with a reader of its own. */
export type ReadAll<Value> = (chunks: readonly Buffer[]) => Outcome<Value>;

/** What becomes of the bytes: the same whole, byte by byte and under `splits` random cuts, or the test fails. */
export function underEverySplit<Value>(
  t: Test,
  readAll: ReadAll<Value>,
  bytes: Buffer,
  splits = 8,
): Outcome<Value> {
  const whole = readAll([Buffer.from(bytes)]);
  for (const { name, chunks } of splitsOf(bytes, splits)) t.same(readAll(chunks), whole, name);
  return whole;
}

export interface Fuzz<Value> {
  readonly readAll: ReadAll<Value>;
  /** Well-formed streams that are broken at random, in turn. */
  readonly seeds: readonly Buffer[];
  readonly randomSeed: number;
  readonly rounds: number;
  /** What must hold of every value that was read, however broken its bytes; what is wrong, or null. */
  readonly check?: (value: Value) => string | null;
}

/** A value or the typed error, the same under any split; and both must have been seen, or nothing was tried. */
export function fuzz<Value>(t: Test, { readAll, seeds, randomSeed, rounds, check }: Fuzz<Value>): void {
  const random = seededRandom(randomSeed);
  let values = 0;
  let errors = 0;
  for (let round = 0; round < rounds; round += 1) {
    const bytes = mutate(seeds[round % seeds.length] ?? Buffer.alloc(0), random);
    const whole = readAll([Buffer.from(bytes)]);
    for (const { chunks } of splitsOf(bytes, 2, round)) {
      if (JSON.stringify(readAll(chunks)) !== JSON.stringify(whole))
        t.fail(`round ${round}: ${bytes.toString('hex')}`);
    }
    const wrong = 'value' in whole ? (check?.(whole.value) ?? null) : null;
    if (wrong !== null) t.fail(`round ${round}: ${wrong}`);
    if ('error' in whole) errors += 1;
    else values += 1;
  }
  t.ok(values > 0 && errors > 0, `${values} values, ${errors} errors`);
}
