/** Time, passed in where it matters so that tests can set it. */
export interface Clock {
  /** Wall clock, milliseconds since the Unix epoch. */
  now(): number;
  /** Monotonic clock, milliseconds with fractions, for durations. */
  monotonic(): number;
}

/** CLOCK_MONOTONIC, milliseconds: the same in all processes, unlike `Clock.monotonic()`. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};
