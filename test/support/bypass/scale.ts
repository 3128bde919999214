/**
 * How many tries races and storms are made of. Emulated, a machine would be busy with them for longer than with all other
 * rows together; so there they are a part of that number, which their answers then say.
 */
import { isEmulated } from '../patience.ts';
import { SECTIONS } from './rows.ts';
import type { Cell, Row } from './types.ts';

export const CROWDS: readonly Row[] = SECTIONS.find(({ title }) => title === 'Races and storms')?.rows ?? [];

const PART = 5;
export const PART_IN_WORDS = 'a fifth of the number';

/** The share of the tries that are made, as a divisor. */
const part = isEmulated ? PART : 1;

/** Of `count` things that a storm does, how many are done here. */
export function scaled(count: number, divisor: number = part): number {
  return Math.ceil(count / divisor);
}

/** The row as it is tried here. */
export function scaledRow(row: Row, divisor: number = part): Row {
  const isCount = row.option !== undefined && /^\d+$/.test(row.option);
  return CROWDS.includes(row) && isCount
    ? { ...row, option: String(scaled(Number(row.option), divisor)) }
    : row;
}

/** The answer, with the number it holds for. */
export function withPart(cell: Cell, divisor: number = part): Cell {
  const isOfCrowd = CROWDS.some(({ name }) => name === cell.row);
  const held = cell.verdict === 'redirected' || cell.verdict === 'held';
  return divisor > 1 && isOfCrowd && held ? { ...cell, detail: PART_IN_WORDS } : cell;
}
