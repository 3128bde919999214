/**
 * Names of the built-in detectors and of their groups, as policy says them. What each finds is in docs/policy.md, how is in
 * `src/mask`, which has one for each name.
 */

export const DETECTORS = ['card', 'iban', 'us-ssn', 'email', 'jwt', 'private-key'] as const;

export type DetectorName = (typeof DETECTORS)[number];

/** A group may be named wherever a detector may. */
export const DETECTOR_GROUPS: Readonly<Record<string, readonly DetectorName[]>> = {
  cards: ['card'],
  personal: ['iban', 'us-ssn', 'email'],
  secrets: ['jwt', 'private-key'],
  all: DETECTORS,
};

/** The detectors that are meant: built-in names and groups resolved, others left as they are; each once. */
export function expandDetectors(names: readonly string[]): string[] {
  return [...new Set(names.flatMap((name): readonly string[] => DETECTOR_GROUPS[name] ?? [name]))];
}
