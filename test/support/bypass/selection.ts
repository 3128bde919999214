/**
 * Which rows of the matrix a run tries: all of them, or those in which kernels differ. The latter are few, and are what
 * an emulated guest has to say that this host has not said already.
 */
import { keptResults } from './document.ts';
import { ROWS } from './rows.ts';
import { steadyLines } from './steady.ts';
import type { MatrixResult, Row } from './types.ts';

export type Selection = 'all' | 'differing';

/** Protocols that are modules: this host's kernel may have none of them. */
const OF_MODULES: readonly string[] = [
  'kernel-tls',
  'sctp-stream',
  'inherited-sctp',
  'l2tp',
  'mount-nfs',
  'mount-cifs',
];

/** With which a run that shows nothing else still shows that what should be redirected is, and what should not is not. */
const ALWAYS: readonly string[] = [
  'tcp',
  'tfo-sendto',
  'uring',
  'udp',
  'raw-udp',
  'leave-cgroup',
  ...OF_MODULES,
];

/** The rows that kept results of one tier do not agree about, a few others, and those that no result has. */
export function differingRows(results: readonly MatrixResult[], rows: readonly Row[] = ROWS): readonly Row[] {
  const answers = new Map<string, Map<string, Set<string>>>();
  for (const { tier, cells } of results)
    for (const cell of cells) {
      const ofRow = answers.get(cell.row) ?? new Map<string, Set<string>>();
      answers.set(cell.row, ofRow);
      const key = `${tier} ${cell.who} ${cell.family}`;
      ofRow.set(key, (ofRow.get(key) ?? new Set()).add(steadyLines([cell]).join()));
    }
  return rows.filter(({ name }) => {
    const ofRow = answers.get(name);
    if (ofRow === undefined || ALWAYS.includes(name)) return true;
    return [...ofRow.values()].some((different) => different.size > 1);
  });
}

export function selectRows(selection: Selection): readonly Row[] {
  return selection === 'all' ? ROWS : differingRows(keptResults());
}

/** SLUICE_BYPASS_ROWS, by which a guest is told. */
export function selectionOf(text: string | undefined): Selection {
  return text === 'differing' ? 'differing' : 'all';
}
