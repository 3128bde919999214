/**
 * Reads out of libbpf's and the verifier's log what a kernel lacks, so that a refusal names it instead of quoting
 * forty lines. Sources: `bpf_core_patch_insn` and `fixup_verifier_log` of libbpf, `check_helper_call` of the kernel.
 */

const PATTERNS: readonly (readonly [pattern: RegExp, say: (what: string) => string])[] = [
  [/failed to resolve CO-RE relocation <\w+> \[\d+\] ([^\n(]+?) \(/g, (what) => `its own ${what}`],
  [/unknown func (bpf_\w+)#\d+/g, (what) => `the helper ${what} for this type of program`],
  [/cannot use helper (bpf_\w+)#\d+/g, (what) => `the helper ${what} for this type of program`],
  [/invalid func unknown#(\d{1,4})\b/g, (what) => `BPF helper number ${what}`],
];

/** What the log of a failed load says is not there, each once; empty: the failure is another. */
export function missingFeatures(log: string): string[] {
  const found = new Set<string>();
  for (const [pattern, say] of PATTERNS)
    for (const match of log.matchAll(pattern)) found.add(say(match[1] ?? ''));
  return [...found];
}
