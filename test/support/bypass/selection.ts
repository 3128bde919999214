/**
 * Which rows of the matrix a run tries: all of them, all but races and storms, or those in which kernels differ. The last
 * are few, and are what an emulated guest has to say that this host has not said already.
 */
import { keptResults } from './document.ts';
import { FAMILIES, ROWS, SECTIONS, WHO } from './rows.ts';
import { steadyLines } from './steady.ts';
import type { Cell, MatrixResult, Row } from './types.ts';

export type Selection = 'all' | 'quiet' | 'differing';

/** Thousands of processes and connections, which keep an emulated machine busy for longer than all the rest. */
const CROWDS: readonly Row[] = SECTIONS.find(({ title }) => title === 'Races and storms')?.rows ?? [];

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
  if (selection === 'quiet') return ROWS.filter((row) => !CROWDS.includes(row));
  return selection === 'all' ? ROWS : differingRows(keptResults());
}

const LEFT_OUT = 'left out of this run';

export const wasTried = ({ detail }: Cell): boolean => detail !== LEFT_OUT;

/** What a kept result says of the rows that were left out by choice. */
export function leftOut(selection: Selection): Cell[] {
  if (selection !== 'quiet') return [];
  return CROWDS.flatMap(({ name: row, who, families }) =>
    (who ?? WHO).flatMap((who) =>
      (families ?? FAMILIES).map(
        (family): Cell => ({ row, who, family, verdict: 'not run', detail: LEFT_OUT }),
      ),
    ),
  );
}

/** SLUICE_BYPASS_ROWS, by which a guest is told. */
export function selectionOf(text: string | undefined): Selection {
  return text === 'differing' || text === 'quiet' ? text : 'all';
}
