/**
 * Reads out of libbpf's and the verifier's log what a kernel lacks, so that a refusal names it instead of quoting
 * forty lines. Sources: `bpf_core_patch_insn` and `fixup_verifier_log` of libbpf, `check_helper_call` of the kernel.
 */

import { SluiceError } from '../core/errors.ts';

const PATTERNS: readonly (readonly [pattern: RegExp, say: (what: string) => string])[] = [
  [/failed to resolve CO-RE relocation <\w+> \[\d+\] ([^\n(]+?) \(/g, (what) => `its own ${what}`],
  [/unknown func (bpf_\w+)#\d+/g, (what) => `the helper ${what} for this type of program`],
  [/cannot use helper (bpf_\w+)#\d+/g, (what) => `the helper ${what} for this type of program`],
  [/invalid func unknown#(\d{1,4})\b/g, (what) => `BPF helper number ${what}`],
];

/** Before 5.11 maps count as locked memory, of which a daemon without CAP_SYS_RESOURCE has almost none. */
const ACCOUNTED_SINCE = [5, 11] as const;
const NO_ACCOUNTING = 'accounting of BPF memory by cgroup (5.11)';

/** What a kernel lacks, by the errno and the log of a failed load. `release` as of uname(2). */
export function missingIn(release: string, errno: string | undefined, log: string): string[] {
  const [major = 0, minor = 0] = release.split('.').map((part) => Number.parseInt(part, 10));
  const old = major < ACCOUNTED_SINCE[0] || (major === ACCOUNTED_SINCE[0] && minor < ACCOUNTED_SINCE[1]);
  return old && errno === 'EPERM' ? [NO_ACCOUNTING] : missingFeatures(log);
}

/** What the log of a failed load says is not there, each once; empty: the failure is another. */
export function missingFeatures(log: string): string[] {
  const found = new Set<string>();
  for (const [pattern, say] of PATTERNS)
    for (const match of log.matchAll(pattern)) found.add(say(match[1] ?? ''));
  return [...found];
}

/** The refusal of a kernel. */
export function lackingError(release: string, features: readonly string[]): SluiceError {
  return new SluiceError(
    'NOT_SUPPORTED',
    `this kernel (${release}) lacks what the programs need: ${features.join(', ')}`,
    { hint: 'boot Linux 6.1 or later; Debian 12 brings 6.1' },
  );
}
