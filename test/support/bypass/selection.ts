/**
 * Which rows of the matrix a run tries: all of them, all but races and storms, those in which kernels differ (what an
 * emulated guest has to say that this host has not said already), those a kept result has no answer to, or a few of
 * each layer.
 */
import { keptFor, keptResults } from './document.ts';
import { FAMILIES, ROWS, WHO } from './rows.ts';
import { CROWDS } from './scale.ts';
import { steadyLines } from './steady.ts';
import type { Cell, MatrixResult, Row } from './types.ts';

const SELECTIONS = ['all', 'quiet', 'differing', 'missing', 'few'] as const;
export type Selection = (typeof SELECTIONS)[number];

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

/** One of each layer and kind: what a run of minutes can still say. */
const FEW: readonly string[] = [
  ...['tcp', 'tfo-sendto', 'mptcp', 'uring', 'udp', 'raw-udp', 'ping', 'bind-to-device', 'lsrr'],
  ...['packet-datagram', 'vsock', 'inherited-connected', 'unix-helper', 'leave-cgroup', 'inbound'],
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

/** The rows of which `kept` does not say all that is to be said: none was made, it failed, or it was left out. */
export function missingRows(kept: MatrixResult | undefined, rows: readonly Row[] = ROWS): readonly Row[] {
  const answered = new Set(
    kept?.cells
      .filter((cell) => wasTried(cell) && cell.verdict !== 'failed')
      .map(({ row, who, family }) => `${row} ${who} ${family}`),
  );
  return rows.filter(({ name, who, families }) =>
    (who ?? WHO).some((one) =>
      (families ?? FAMILIES).some((over) => !answered.has(`${name} ${one} ${over}`)),
    ),
  );
}

/** @param of kernel and tier of the run: what is missing is missing there */
export function selectRows(selection: Selection, of: Pick<MatrixResult, 'kernel' | 'tier'>): readonly Row[] {
  if (selection === 'few') return ROWS.filter(({ name }) => FEW.includes(name));
  if (selection === 'quiet') return ROWS.filter((row) => !CROWDS.includes(row));
  if (selection === 'missing') return missingRows(keptFor(of));
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
  return SELECTIONS.find((one) => one === text) ?? 'all';
}
