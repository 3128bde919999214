/**
 * What of a matrix is the same in every run. On a busy machine one of a thousand connections may come too late, and
 * whether the daemon has refused a namespace before an agent in it connects (EPERM) or after (its SYN is dropped) is a
 * race: which of the two it is, is not the document's to promise. That nothing leaves, is.
 */
import { SECTIONS } from './rows.ts';
import type { Cell } from './types.ts';

const namesOf = (title: string): ReadonlySet<string> =>
  new Set(SECTIONS.find((section) => section.title === title)?.rows.map((row) => row.name));

const CROWDS = namesOf('Races and storms');
const NAMESPACES = namesOf('Namespaces and address translation');

/** One line for each cell, in their order; equal lines are the same answer. */
export function steadyLines(cells: readonly Cell[]): string[] {
  return cells.map(({ row, who, family, verdict, detail }) => {
    const head = `${row} ${who} ${family}`;
    if (CROWDS.has(row) && (verdict === 'redirected' || verdict === 'held')) return `${head} held`;
    if (NAMESPACES.has(row) && (verdict === 'refused' || verdict === 'dropped')) return `${head} stopped`;
    return `${head} ${verdict} ${detail}`.trimEnd();
  });
}
