/** Runs a target of the fuzzer: so many rounds from a seed, and what is found, as small as it can be made. */
import fc from 'fast-check';
import type { Target } from './target.ts';

export interface Failure {
  readonly target: string;
  /** With these it is found again: `scripts/fuzz --target NAME --seed SEED --path PATH`. */
  readonly seed: number;
  readonly path: string;
  /** As fast-check writes it; bytes are shown in hexadecimal. */
  readonly input: string;
  readonly error: string;
  /** How often it was made smaller. */
  readonly shrinks: number;
}

export interface Rounds {
  readonly seed: number;
  readonly rounds: number;
  /** Of a failure: begins there. */
  readonly path?: string;
  /** Stops beginning new rounds after that long; what has been found is still made smaller. */
  readonly budgetMs?: number;
}

export interface Report {
  readonly rounds: number;
  readonly failure: Failure | null;
}

/** @param target whose property throws or gives false when something does not hold */
export async function runTarget(
  { name, property }: Pick<Target, 'name' | 'property'>,
  { seed, rounds, path, budgetMs }: Rounds,
): Promise<Report> {
  const details = await fc.check(property() as fc.IAsyncProperty<unknown>, {
    seed,
    numRuns: rounds,
    ...(path === undefined ? {} : { path }),
    ...(budgetMs === undefined ? {} : { interruptAfterTimeLimit: budgetMs, markInterruptAsFailure: false }),
  });
  if (!details.failed) return { rounds: details.numRuns, failure: null };
  const { counterexample, counterexamplePath, numShrinks, errorInstance } = details;
  const error =
    errorInstance instanceof Error ? (errorInstance.stack ?? errorInstance.message) : String(errorInstance);
  return {
    rounds: details.numRuns,
    failure: {
      target: name,
      seed: details.seed,
      path: counterexamplePath ?? '',
      input: show(counterexample),
      error,
      shrinks: numShrinks,
    },
  };
}

function show(value: unknown): string {
  if (value instanceof Uint8Array) return `hex ${Buffer.from(value).toString('hex')}`;
  if (Array.isArray(value)) return `[${value.map(show).join(', ')}]`;
  if (typeof value === 'object' && value !== null)
    return `{${Object.entries(value)
      .map(([key, item]) => `${key}: ${show(item)}`)
      .join(', ')}}`;
  return fc.stringify(value);
}
