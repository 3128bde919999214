/**
 * Names of the built-in detectors and of their groups, as policy says them. What each finds is in docs/policy.md, how is in
 * `src/mask`, which has one for each name.
 */

const PERSONAL = ['iban', 'us-ssn', 'email', 'phone'] as const;
const NETWORK = ['ipv4', 'ipv6'] as const;
const SECRETS = [
  'jwt',
  'private-key',
  'url-password',
  'aws-key',
  'gcp-key',
  'azure-key',
  'github-token',
  'gitlab-token',
  'slack-token',
  'stripe-key',
  'npm-token',
  'pypi-token',
  'ai-key',
  'service-token',
] as const;

export const DETECTORS = ['card', ...PERSONAL, ...NETWORK, ...SECRETS] as const;

export type DetectorName = (typeof DETECTORS)[number];

/** A group may be named wherever a detector may. */
export const DETECTOR_GROUPS: Readonly<Record<string, readonly DetectorName[]>> = {
  cards: ['card'],
  personal: PERSONAL,
  network: NETWORK,
  secrets: SECRETS,
  all: DETECTORS,
};

/** The detectors that are meant: built-in names and groups resolved, others left as they are; each once. */
export function expandDetectors(names: readonly string[]): string[] {
  return [...new Set(names.flatMap((name): readonly string[] => DETECTOR_GROUPS[name] ?? [name]))];
}
