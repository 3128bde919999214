/**
 * Masks the data of COPY … FROM STDIN as it comes. How it is cut into messages says nothing: rows are put together, within bounds, and a
 * row too long for that is masked as it passes and keeps its length. What comes out is framed anew.
 */
import type { ValueMasker } from '../../../../mask/masker.ts';
import { type Cell, cellOf, type OnHits } from '../cell.ts';
import type { CopyShape } from '../copy-shape.ts';
import { CopyInBinary } from './copy-in-binary.ts';
import { CopyInText } from './copy-in-text.ts';
import { typeOfText } from './statement-masker.ts';
import type { ValueMaskers } from './value-maskers.ts';

/** The content of one COPY. */
export interface CopyIn {
  /** @returns what is certain by now. @throws RangeError where it cannot be masked */
  push(part: Buffer): Uint8Array;
  /** No more data. @returns the rest. @throws RangeError */
  end(): Uint8Array;
}

/** By the index of a field. */
export type CellAt = (index: number) => Cell | null;

export function copyIn(shape: CopyShape, maskers: ValueMaskers, onHits: OnHits): CopyIn {
  const { table, columns } = shape;
  const own = columns === null || table === null ? [] : columns.map((name) => maskers.ofTable(table, name));
  const made = new Map<ValueMasker, Cell | null>();
  const cellFor = (masker: ValueMasker): Cell | null => {
    const known = made.get(masker);
    if (known !== undefined) return known;
    const cell = shape.format === 'binary' ? binaryCell(masker, onHits) : textCell(masker, onHits);
    made.set(masker, cell);
    return cell;
  };
  const cellAt: CellAt = (index) => cellFor(own[index] ?? maskers.forAll);
  return shape.format === 'binary'
    ? new CopyInBinary(cellAt, maskers.forAll, onHits)
    : new CopyInText(shape, cellAt, maskers.forAll);
}

/** Types do not show in a COPY. */
function binaryCell(masker: ValueMasker, onHits: OnHits): Cell | null {
  return cellOf({ typeOid: 0, format: 1, masker, onHits });
}

/** A number is a text, as everywhere in requests. */
function textCell(masker: ValueMasker, onHits: OnHits): Cell | null {
  const text = cellOf({ typeOid: TEXT, format: 0, masker, onHits });
  const any = cellOf({ typeOid: 0, format: 0, masker, onHits, numbersAreTexts: true });
  if (text === null || any === null) return null;
  return { ...text, whole: (bytes) => (typeOfText(0, bytes) === TEXT ? text : any).whole(bytes) };
}

const TEXT = 25;
