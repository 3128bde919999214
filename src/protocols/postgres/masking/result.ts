/** Reads the description of a result (RowDescription) and plans how its rows are masked. */

import type { ColumnFacts, Masker } from '../../../mask/masker.ts';
import { HEADER_BYTES } from '../message.ts';
import { cellOf, type OnHits } from './cell.ts';
import { RowMasker } from './rows.ts';

/** A column of a result, as PostgreSQL describes it. */
export interface DescribedColumn {
  readonly name: string;
  /** Object id of its type (pg_type). */
  readonly typeOid: number;
  /** Where its values come from, if PostgreSQL says so; 0: an expression. */
  readonly tableOid: number;
  readonly attribute: number;
  /** 0: text; 1: binary. */
  readonly format: number;
}

/** The description with its columns called so. @throws RangeError when it is none */
export function renamed(message: Buffer, nameOf: (name: Buffer) => Uint8Array): Buffer | null {
  const parts: Uint8Array[] = [];
  let written = 0;
  const count = message.readUInt16BE(HEADER_BYTES);
  for (let index = 0, here = HEADER_BYTES + 2; index < count; index += 1) {
    const end = message.indexOf(0, here);
    if (end === -1) throw new RangeError('a description without end');
    const name = message.subarray(here, end);
    const now = nameOf(name);
    if (now !== name) {
      parts.push(message.subarray(written, here), now);
      written = end;
    }
    here = end + 1 + FIXED_BYTES;
  }
  if (parts.length === 0) return null;
  const whole = Buffer.concat([...parts, message.subarray(written)]);
  whole.writeUInt32BE(whole.length - 1, 1);
  return whole;
}

/** Of each column, after its name: table, attribute, type, size, modifier, format. */
const FIXED_BYTES = 18;

/** The message at [at, end) of the bytes. @throws RangeError when it is none */
export function readDescription(bytes: Buffer, at: number, end: number): DescribedColumn[] {
  const message = bytes.subarray(at, end);
  const count = message.readUInt16BE(HEADER_BYTES);
  const columns: DescribedColumn[] = [];
  let here = HEADER_BYTES + 2;
  for (let index = 0; index < count; index += 1) {
    const nameEnd = message.indexOf(0, here);
    if (nameEnd === -1 || nameEnd + 1 + FIXED_BYTES > message.length)
      throw new RangeError('a description without end');
    columns.push({
      name: message.toString('utf8', here, nameEnd),
      tableOid: message.readUInt32BE(nameEnd + 1),
      attribute: message.readInt16BE(nameEnd + 5),
      typeOid: message.readUInt32BE(nameEnd + 7),
      format: message.readInt16BE(nameEnd + 17),
    });
    here = nameEnd + 1 + FIXED_BYTES;
  }
  if (here !== message.length) throw new RangeError('a description without end');
  return columns;
}

export function planRows(
  columns: readonly DescribedColumn[],
  factsOf: (column: DescribedColumn) => ColumnFacts,
  masker: Masker,
  onHits: OnHits,
): RowMasker {
  const cells = columns.map((column) =>
    cellOf({
      typeOid: column.typeOid,
      format: column.format,
      masker: masker.column(factsOf(column)),
      onHits,
    }),
  );
  return new RowMasker(cells, masker, onHits);
}
