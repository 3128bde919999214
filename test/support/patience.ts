/**
 * How much slower than a real machine this one may be, and all waiting in tests with it: an emulated one is 10 to 20
 * times (test/vm). Only bounds on waiting are stretched; nothing that is asserted is a time.
 */
export const patience: number = patienceOf(process.env['SLUICE_TEST_PATIENCE']);

/** 1 for whatever is no number from 1 to 100. */
export function patienceOf(text: string | undefined): number {
  const value = Number(text ?? 1);
  return value >= 1 && value <= 100 ? value : 1;
}
