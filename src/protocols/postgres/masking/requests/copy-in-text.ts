/**
 * Rows of COPY … FROM STDIN as text and as CSV (PostgreSQL documentation, "COPY", "File Formats"; PostgreSQL source, copyfromparse.c).
 *
 * Fields that stand there as what they say are searched in place, those of all rows at once; so what is not masked is neither copied nor
 * written anew.
 */
import { ByteQueue } from '../../../../core/byte-queue.ts';
import { together } from '../../../../core/room.ts';
import type { Masker } from '../../../../mask/masker.ts';
import type { Cell } from '../cell.ts';
import { LongRow } from '../copy-out.ts';
import type { CopyShape } from '../copy-shape.ts';
import type { CellAt, CopyIn } from './copy-in.ts';
import { FieldMasks } from './field-masks.ts';
import { NO_END, RowEnds } from './row-ends.ts';
import { type Cut, cutterOf } from './row-fields.ts';

/** As of rows that come out. */
const ROW_HELD_MAX_BYTES = 1_048_576;
/** A table has no more. */
const COLUMNS_MAX = 1_600;

const NEW_LINE = 0x0a;
const RETURN = 0x0d;
const NOTHING = Buffer.alloc(0);
const LINE = Buffer.from('\n');

export class CopyInText implements CopyIn {
  readonly #shape: CopyShape;
  readonly #cellAt: CellAt;
  readonly #fields: FieldMasks;
  readonly #cut: Cut;
  readonly #ends: RowEnds;
  /** Of the row that is not whole. */
  readonly #held = new ByteQueue();
  #long: LongRow | null = null;

  constructor(shape: CopyShape, cellAt: CellAt, masker: Masker) {
    this.#shape = shape;
    this.#cellAt = cellAt;
    this.#fields = new FieldMasks(shape, cellAt, masker);
    this.#cut = cutterOf(shape);
    this.#ends = new RowEnds(shape);
  }

  push(part: Buffer): Uint8Array {
    const fits = this.#long === null && this.#held.length + part.length <= ROW_HELD_MAX_BYTES;
    const last = fits ? this.#ends.last(part) : null;
    if (last === null) return this.#oneByOne(part);
    if (last === NO_END) return this.#rest(part);
    const bytes = this.#withHeld(part);
    const end = bytes.length - part.length + last;
    this.#cut(bytes, 0, end, true, this.#fields);
    const rows = this.#fields.take(bytes, 0, end);
    this.#held.append(part.subarray(last));
    return rows;
  }

  #withHeld(part: Buffer): Buffer {
    return this.#held.length === 0 ? part : together([this.#held.take(), part]);
  }

  #oneByOne(part: Buffer): Uint8Array {
    const out: Uint8Array[] = [];
    let bytes = part;
    let end = this.#ends.next(part, 0);
    if (end !== NO_END) {
      bytes = this.#withHeld(part);
      end += bytes.length - part.length;
    }
    /** Where the row begins that is looked for the end of, and the first that has not been looked into. */
    let start = 0;
    let first = 0;
    let ends: number[] = [];
    for (; end !== NO_END; end = this.#ends.next(bytes, end)) {
      if (this.#long === null && end - start <= ROW_HELD_MAX_BYTES) ends.push(end);
      else {
        out.push(this.#rows(bytes, first, ends), this.#endLong(bytes.subarray(start, end)));
        first = end;
        ends = [];
      }
      start = end;
    }
    out.push(this.#rows(bytes, first, ends), this.#rest(bytes.subarray(start)));
    const some = out.filter(({ length }) => length > 0);
    return some.length === 1 ? (some[0] ?? NOTHING) : together(some);
  }

  /** However it is cut, a row too long to be held is not held. */
  #rest(rest: Buffer): Uint8Array {
    if (this.#long !== null) return this.#goOn(rest);
    this.#held.append(rest);
    return this.#held.length > ROW_HELD_MAX_BYTES ? this.#goOn(this.#held.take()) : NOTHING;
  }

  /** The last row need not end in a line's end. */
  end(): Uint8Array {
    if (this.#long !== null) return this.#endLong(NOTHING);
    const row = this.#held.take();
    return row.length === 0 ? NOTHING : this.#rows(row, 0, [row.length]);
  }

  /** Whole rows that lie one behind the other from `first` on. */
  #rows(bytes: Buffer, first: number, ends: readonly number[]): Uint8Array {
    if (ends.length === 0) return NOTHING;
    let start = first;
    for (const end of ends) {
      this.#cut(bytes, start, end - lineEnd(bytes, start, end), false, this.#fields);
      start = end;
    }
    return this.#fields.take(bytes, first, start);
  }

  #cells(): (Cell | null)[] {
    return Array.from({ length: COLUMNS_MAX }, (_, index) => this.#cellAt(index));
  }

  /** Of what is written by numbers nothing would be found. */
  #goOn(part: Buffer): Uint8Array {
    if (this.#ends.hasNumbers) throw new RangeError('a row of a COPY that is too long, and escaped');
    this.#long ??= new LongRow(this.#shape, this.#cells());
    return this.#long.push(part);
  }

  #endLong(piece: Buffer): Uint8Array {
    const line = lineEnd(piece, 0, piece.length);
    const out = [this.#goOn(piece.subarray(0, piece.length - line))];
    // It takes a line feed for the end.
    const last = this.#goOn(LINE);
    out.push(last.subarray(0, last.length - 1), piece.subarray(piece.length - line));
    this.#long = null;
    return Buffer.concat(out);
  }
}

/** How many bytes of the row are the end of its line. */
function lineEnd(bytes: Buffer, start: number, end: number): number {
  if (end === start) return 0;
  const last = bytes[end - 1];
  if (last === RETURN) return 1;
  if (last !== NEW_LINE) return 0;
  return end - start > 1 && bytes[end - 2] === RETURN ? 2 : 1;
}
