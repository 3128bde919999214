/** Masks fields of many rows of COPY at once: takes them as they are cut, and then says what is sent in place of the rows. */
import { together } from '../../../../core/room.ts';
import { type Masker, VALUE_MAX_BYTES, type ValueMasker } from '../../../../mask/masker.ts';
import { AskedCells } from '../asked-cells.ts';
import { type Cell, type Masked, otherDigits } from '../cell.ts';
import { readRow, writeField } from '../copy-fields.ts';
import type { CopyShape } from '../copy-shape.ts';
import type { CellAt } from './copy-in.ts';
import type { Fields } from './row-fields.ts';
import { isStructured } from './statement-masker.ts';

const BACKSLASH = 0x5c;
const QUOTE = 0x22;

/** Fields that are masked alike. */
interface Kind {
  readonly cell: Cell;
  readonly isWhole: boolean;
  readonly number: number;
}

interface Part {
  readonly start: number;
  readonly end: number;
  readonly instead: Buffer;
}

export class FieldMasks implements Fields {
  readonly #shape: CopyShape;
  readonly #masker: Masker;
  readonly #null: Buffer;
  readonly #kinds: Kind[] = [];
  /** Of each kind twice: of fields that stand there bare, and in quotes. */
  readonly #maskers: ValueMasker[] = [];
  /** By the index of a field; all beyond are the same. */
  readonly #columns: readonly (Kind | null)[];
  readonly #others: Kind | null;
  /** Fields that are searched at once, by their kinds. */
  readonly #asked = new AskedCells();
  #parts: Part[] = [];

  constructor(shape: CopyShape, cellAt: CellAt, masker: Masker) {
    this.#shape = shape;
    this.#columns = (shape.columns ?? []).map((_, index) => this.#kindOf(cellAt(index)));
    this.#others = this.#kindOf(cellAt(this.#columns.length));
    this.#masker = masker;
    this.#null = Buffer.from(shape.nullText, 'latin1');
  }

  plain(bytes: Buffer, start: number, end: number, index: number, quotes: number): void {
    const kind = (index < this.#columns.length ? this.#columns[index] : this.#others) ?? null;
    if (kind === null || (quotes === 0 && this.#isNull(bytes, start, end))) return;
    if (kind.isWhole || end - start > VALUE_MAX_BYTES || mayBeMore(bytes, start, end)) {
      this.#replace(start - quotes, end + quotes, kind.cell.whole(bytes.subarray(start, end)));
      return;
    }
    this.#asked.add(start, end, 2 * kind.number + quotes);
  }

  written(bytes: Buffer, start: number, end: number, index: number): void {
    const { cell } = (index < this.#columns.length ? this.#columns[index] : this.#others) ?? {};
    if (cell === undefined || this.#isNull(bytes, start, end)) return;
    const text = `${this.#withoutLines(bytes.toString('latin1', start, end))}\n`;
    const read = readRow(text, 0, this.#shape);
    const [field, another] = read?.fields ?? [];
    if (field === undefined || another !== undefined || read?.end !== text.length)
      throw new RangeError('a row of a COPY that cannot be read');
    if (field.value !== null) this.#replace(start, end, cell.whole(Buffer.from(field.value, 'latin1')));
  }

  /** What is sent in place of the bytes in which the fields lie; the bytes themselves where nothing is masked. */
  take(bytes: Buffer, from: number, to: number): Buffer {
    this.#ask(bytes);
    const parts = this.#parts;
    if (parts.length === 0) return bytes.subarray(from, to);
    this.#parts = [];
    // Those that were asked about at once come after the others.
    parts.sort((one, other) => one.start - other.start);
    const out: Buffer[] = [];
    let at = from;
    for (const { start, end, instead } of parts) {
      out.push(bytes.subarray(at, start), instead);
      at = end;
    }
    out.push(bytes.subarray(at, to));
    return together(out);
  }

  #ask(bytes: Buffer): void {
    const { numbers, count } = this.#asked;
    this.#asked.clear();
    if (count === 0) return;
    for (const { cell: asked } of this.#masker.cells(bytes, numbers, count, this.#maskers)) {
      const [start = 0, end = 0, number = 0] = this.#asked.at(asked);
      const cell = this.#kinds[number >> 1]?.cell;
      if (cell === undefined) throw new Error('a field that was not asked about');
      const quotes = number & 1;
      this.#replace(start - quotes, end + quotes, cell.whole(bytes.subarray(start, end)));
    }
  }

  #replace(start: number, end: number, masked: Masked): void {
    if (masked === undefined) return;
    const instead = masked === null ? null : Buffer.from(masked).toString('latin1');
    this.#parts.push({ start, end, instead: Buffer.from(writeField(instead, this.#shape), 'latin1') });
  }

  #kindOf(cell: Cell | null): Kind | null {
    if (cell === null) return null;
    const known = this.#kinds.find((kind) => kind.cell === cell);
    if (known !== undefined) return known;
    const kind = { cell, isWhole: cell.masker.whole !== null, number: this.#kinds.length };
    this.#kinds.push(kind);
    this.#maskers.push(cell.masker, cell.masker);
    return kind;
  }

  #isNull(bytes: Buffer, start: number, end: number): boolean {
    const word = this.#null;
    if (this.#shape.nullIsText || end - start !== word.length) return false;
    for (let at = 0; at < word.length; at += 1) if (bytes[start + at] !== word[at]) return false;
    return true;
  }

  /** A line's end in a value may be written as a backslash before it. */
  #withoutLines(text: string): string {
    if (this.#shape.format === 'csv' || !/[\r\n]/.test(text)) return text;
    return text.replace(/\\(.)/gs, (both, char: string) =>
      char === '\n' ? '\\n' : char === '\r' ? '\\r' : both,
    );
  }
}

/** It may be another thing than the text that stands there (typeOfText), or have parts that are written otherwise than they are. */
function mayBeMore(bytes: Buffer, start: number, end: number): boolean {
  if (!isStructured(bytes[start]))
    return hasByte(bytes, start, end, BACKSLASH) || isOtherNumber(bytes, start, end);
  if (hasByte(bytes, start, end, BACKSLASH) || hasByte(bytes, start, end, QUOTE)) return true;
  return otherDigits(bytes.subarray(start, end)) !== null;
}

function hasByte(bytes: Buffer, start: number, end: number, byte: number): boolean {
  for (let at = start; at < end; at += 1) if (bytes[at] === byte) return true;
  return false;
}

/** Whether `otherDigits` finds digits in it, without asking for most of what begins with a digit: fractions, dates, hashes. */
function isOtherNumber(bytes: Buffer, start: number, end: number): boolean {
  const sign = bytes[start] === PLUS || bytes[start] === MINUS ? 1 : 0;
  const whole = digitsFrom(bytes, start + sign, end);
  if (whole === end || !MARKS.has(bytes[whole] ?? 0)) return false;
  if (bytes[whole] === POINT) {
    const fraction = digitsFrom(bytes, whole + 1, end);
    let isNothing = true;
    for (let at = whole + 1; at < fraction; at += 1) if (bytes[at] !== ZERO) isNothing = false;
    if (fraction === end && !isNothing) return false;
  }
  return otherDigits(bytes.subarray(start, end)) !== null;
}

function digitsFrom(bytes: Buffer, start: number, end: number): number {
  let at = start;
  while (at < end && (bytes[at] ?? 0) >= ZERO && (bytes[at] ?? 0) <= NINE) at += 1;
  return at;
}

const PLUS = 0x2b;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
/** What may stand behind the first digits of a number that is not written by its digits. */
const MARKS: ReadonlySet<number> = new Set(Buffer.from('._eExXoObB', 'latin1'));
