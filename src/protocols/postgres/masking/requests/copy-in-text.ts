/** Rows of COPY … FROM STDIN as text and as CSV (PostgreSQL documentation, "COPY", "File Formats"; PostgreSQL source, copyfromparse.c). */
import { ByteQueue } from '../../../../core/byte-queue.ts';
import type { ValueMasker } from '../../../../mask/masker.ts';
import type { Cell } from '../cell.ts';
import { apart, readRow, writeField } from '../copy-fields.ts';
import { LongRow } from '../copy-out.ts';
import type { CopyShape } from '../copy-shape.ts';
import type { CellAt, CopyIn } from './copy-in.ts';

/** As of rows that come out. */
const ROW_HELD_MAX_BYTES = 1_048_576;
const ROWS_AT_ONCE = 1_024;
/** A table has no more. */
const COLUMNS_MAX = 1_600;

const NEW_LINE = 0x0a;
const RETURN = 0x0d;
const BACKSLASH = 0x5c;
const NOTHING = Buffer.alloc(0);
const LINE = Buffer.from('\n');

export class CopyInText implements CopyIn {
  readonly #shape: CopyShape;
  readonly #cellAt: CellAt;
  /** What searches all fields alike, if they are only searched. */
  readonly #search: ValueMasker | null;
  readonly #ends: RowEnds;
  /** Of the row that is not whole. */
  readonly #held = new ByteQueue();
  #long: LongRow | null = null;

  constructor(shape: CopyShape, cellAt: CellAt, search: ValueMasker | null) {
    this.#shape = shape;
    this.#cellAt = cellAt;
    this.#search = search?.whole === null ? search : null;
    this.#ends = new RowEnds(shape);
  }

  push(part: Buffer): Uint8Array {
    const out: Uint8Array[] = [];
    let from = 0;
    /** Rows that lie in the part whole and have not been looked at. */
    let rows: Buffer[] = [];
    const flush = (): void => {
      out.push(this.#rows(rows));
      rows = [];
    };
    for (let at = 0; at < part.length; at += 1) {
      if (!this.#ends.take(part[at] ?? 0)) continue;
      // A row ends before this byte where the one before it was a carriage return that stands alone.
      const end = this.#ends.isBefore ? at : at + 1;
      const piece = part.subarray(from, end);
      from = end;
      if (piece.length > ROW_HELD_MAX_BYTES) flush();
      if (this.#isLong(piece, out)) out.push(this.#endLong(piece));
      else if (this.#held.length > 0) {
        this.#held.append(piece);
        out.push(this.#rows([this.#held.take()]));
      } else rows.push(piece);
      if (rows.length >= ROWS_AT_ONCE) flush();
    }
    flush();
    const rest = part.subarray(from);
    if (this.#isLong(rest, out)) out.push(this.#goOn(rest));
    else this.#held.append(rest);
    return Buffer.concat(out);
  }

  /** However it is cut, a row too long to be held is not held. */
  #isLong(piece: Buffer, out: Uint8Array[]): boolean {
    if (this.#long !== null) return true;
    if (this.#held.length + piece.length <= ROW_HELD_MAX_BYTES) return false;
    this.#long = new LongRow(this.#shape, this.#cells());
    out.push(this.#goOn(this.#held.take()));
    return true;
  }

  /** The last row need not end in a line's end. */
  end(): Uint8Array {
    if (this.#long !== null) return this.#endLong(NOTHING);
    return this.#held.length === 0 ? NOTHING : this.#rows([this.#held.take()]);
  }

  #rows(rows: readonly Buffer[]): Uint8Array {
    if (rows.length === 0) return NOTHING;
    const content = rows.length === 1 ? (rows[0] ?? NOTHING) : Buffer.concat(rows);
    if (this.#isClean(content)) return content;
    return Buffer.concat(rows.map((row) => (this.#isClean(row) ? row : this.#row(row))));
  }

  /** Nothing is found in it as it stands, and nothing in it is written otherwise than it is. */
  #isClean(content: Buffer): boolean {
    const search = this.#search;
    if (search === null) return false;
    if (content.includes(this.#shape.format === 'csv' ? this.#shape.quote : '\\')) return false;
    // What looks into values says what it finds; here it is only asked whether.
    return search.value(apart(content, this.#shape)) === null;
  }

  #row(row: Buffer): Buffer {
    const line = lineEnd(row);
    const text = `${this.#withoutLines(row.toString('latin1', 0, row.length - line))}\n`;
    // The end of the data, as programs of before 2003 send it.
    if (text === '\\.\n') return row;
    const read = readRow(text, 0, this.#shape);
    if (read === null || read.end !== text.length)
      throw new RangeError('a row of a COPY that cannot be read');
    let out = '';
    let written = 0;
    for (const [index, { value, start, end }] of read.fields.entries()) {
      const masked = value === null ? undefined : this.#cellAt(index)?.whole(Buffer.from(value, 'latin1'));
      if (masked === undefined) continue;
      const instead = masked === null ? null : Buffer.from(masked).toString('latin1');
      out += text.slice(written, start) + writeField(instead, this.#shape);
      written = end;
    }
    if (written === 0) return row;
    // A field that was not masked is as it was but for such ends.
    return Buffer.concat([
      Buffer.from(out + text.slice(written, -1), 'latin1'),
      row.subarray(row.length - line),
    ]);
  }

  /** A line's end in a value may be written as a backslash before it. */
  #withoutLines(text: string): string {
    if (this.#shape.format === 'csv' || !/[\r\n]/.test(text)) return text;
    return text.replace(/\\(.)/gs, (both, char: string) =>
      char === '\n' ? '\\n' : char === '\r' ? '\\r' : both,
    );
  }

  #cells(): (Cell | null)[] {
    return Array.from({ length: COLUMNS_MAX }, (_, index) => this.#cellAt(index));
  }

  /** Of what is written by numbers nothing would be found. */
  #goOn(part: Buffer): Uint8Array {
    if (this.#ends.hasNumbers) throw new RangeError('a row of a COPY that is too long, and escaped');
    return this.#long?.push(part) ?? NOTHING;
  }

  #endLong(piece: Buffer): Uint8Array {
    const line = lineEnd(piece);
    const out = [this.#goOn(piece.subarray(0, piece.length - line))];
    // It takes a line feed for the end.
    const last = this.#goOn(LINE);
    out.push(last.subarray(0, last.length - 1), piece.subarray(piece.length - line));
    this.#long = null;
    return Buffer.concat(out);
  }
}

function lineEnd(row: Buffer): number {
  const last = row.at(-1);
  if (last === RETURN) return 1;
  if (last !== NEW_LINE) return 0;
  return row.at(-2) === RETURN ? 2 : 1;
}

/**
 * Where rows end. The first end of a line says how all are written: LF, CR LF, or CR, as with the server, which takes any other for a mistake.
 */
class RowEnds {
  /** The row has ended before the byte that was taken last. */
  isBefore = false;
  /** The row has escapes that give a character by its number. */
  hasNumbers = false;
  readonly #quote: number;
  readonly #escape: number;
  readonly #isText: boolean;
  #style: 'lf' | 'crlf' | 'cr' | null = null;
  #isNew = true;
  #afterReturn = false;
  #inQuotes = false;
  #isEscaped = false;

  constructor({ format, quote, escape: before }: CopyShape) {
    this.#isText = format !== 'csv';
    this.#quote = this.#isText ? NONE : quote.charCodeAt(0);
    this.#escape = this.#isText || before === quote ? NONE : before.charCodeAt(0);
  }

  /** Whether a row ends with this byte, or before it. */
  take(byte: number): boolean {
    this.isBefore = false;
    if (this.#isNew) this.hasNumbers = false;
    this.#isNew = false;
    if (this.#afterReturn) {
      this.#afterReturn = false;
      this.#style = byte === NEW_LINE ? 'crlf' : 'cr';
      if (byte === NEW_LINE) return this.#ended();
      this.isBefore = true;
      this.#ended();
      this.#see(byte);
      return true;
    }
    return this.#see(byte);
  }

  #see(byte: number): boolean {
    if (this.#isText) {
      if (this.#isEscaped) {
        this.#isEscaped = false;
        if ((byte >= 0x30 && byte <= 0x37) || byte === LETTER_X) this.hasNumbers = true;
        return false;
      }
      if (byte === BACKSLASH) this.#isEscaped = true;
    } else if (this.#quotes(byte)) return false;
    if (byte === NEW_LINE) return this.#style !== 'cr' && this.#ended();
    if (byte !== RETURN || this.#style === 'lf' || this.#style === 'crlf') return false;
    if (this.#style === 'cr') return this.#ended();
    this.#afterReturn = true;
    return false;
  }

  /** Whether it is inside of quotes. */
  #quotes(byte: number): boolean {
    if (this.#inQuotes && byte === this.#escape) this.#isEscaped = !this.#isEscaped;
    else {
      if (byte === this.#quote && !this.#isEscaped) this.#inQuotes = !this.#inQuotes;
      this.#isEscaped = false;
    }
    return this.#inQuotes;
  }

  #ended(): true {
    this.#style ??= 'lf';
    this.#isNew = true;
    this.#isEscaped = false;
    return true;
  }
}

const NONE = -1;
const LETTER_X = 0x78;
