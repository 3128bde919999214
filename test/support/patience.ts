/**
 * How much slower than a real machine this one may be, and all waiting in tests with it: an emulated one is 10 to 20
 * times (test/vm). Only bounds on waiting are stretched; nothing that is asserted is a time.
 */
export const patience: number = patienceOf(process.env['SLUICE_TEST_PATIENCE']);

/** From here on a machine is emulated, and not merely slow. */
const EMULATED = 10;

export const isEmulated: boolean = patience >= EMULATED;

/** 1 for whatever is no number from 1 to 100. */
export function patienceOf(text: string | undefined): number {
  const value = Number(text ?? 1);
  return value >= 1 && value <= 100 ? value : 1;
}

/** Of a process that was ended by itself and not by somebody. */
const CRASHES: ReadonlySet<string | null> = new Set(['SIGABRT', 'SIGBUS', 'SIGILL', 'SIGSEGV', 'SIGTRAP']);

/**
 * Whether a process of Sluice did not come to a word of its own: emulated, Node does not always survive its own start. Such a one
 * may be started once more.
 */
export function diedAtItsStart(
  { signal, stdout, stderr }: { signal: string | null; stdout: string; stderr: string },
  emulated: boolean = isEmulated,
): boolean {
  return emulated && CRASHES.has(signal) && !/^(sluice\b|\{)/m.test(stdout + stderr);
}
