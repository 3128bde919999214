/**
 * What the verifier said of a program it refused. Its answer alone (EACCES, EINVAL, E2BIG) is also what a caller without
 * privilege gets, so the log tells the one from the other. Sources: `bpf_object_load_prog` of libbpf, which frames the
 * log, and `bpf_check` of the kernel, which ends it with its figures.
 */

/** Enough for the reason and the instructions that lead to it. */
const LINES_MAX = 12;
const END = '-- END PROG LOAD LOG --';
const BEGIN = '-- BEGIN PROG LOAD LOG --\n';
const FIGURES = /^(processed \d+ insns|verification time|stack depth) /;
/** What the verifier asks of those who have no CAP_PERFMON only. */
const UNPRIVILEGED = /!root|unprivileged/;

export interface Refusal {
  readonly program: string;
  /** The last lines of the log, each with the line's end between. */
  readonly tail: string;
  /** The one in which it says why. */
  readonly reason: string;
  /** Whether a caller with more capabilities would have been spared it. */
  readonly forPrivilege: boolean;
}

/** Null: the verifier did not come to judge, or what it said is not there. `log` may have lost its beginning. */
export function refusalIn(log: string): Refusal | null {
  const end = log.lastIndexOf(END);
  if (end < 0) return null;
  // What it said of the last program: libbpf stops at the first that is refused.
  const said = log.slice(0, end).split(BEGIN).at(-1) ?? '';
  const lines = said.split('\n').filter((line) => line.trim() !== '');
  const reason = lines.findLast((line) => !FIGURES.test(line)) ?? '';
  if (reason === '') return null;
  return {
    program: /prog '([^']*)': failed to load/.exec(log.slice(end))?.[1] ?? 'a program',
    tail: lines.slice(-LINES_MAX).join('\n'),
    reason: reason.trim(),
    forPrivilege: UNPRIVILEGED.test(reason),
  };
}
