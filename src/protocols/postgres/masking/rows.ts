/**
 * Masks the rows of one result (DataRow: a count of columns, then for each its length and its bytes; -1 is NULL).
 */
import { room } from '../../../core/room.ts';
import { type Masker, VALUE_MAX_BYTES, type ValueMasker } from '../../../mask/masker.ts';
import type { LongMessage } from '../message-rewriter.ts';
import { AskedCells } from './asked-cells.ts';
import type { Cell, Masked, OnHits } from './cell.ts';
import { field, Pull, type Steps } from './pull.ts';

const NULL_LENGTH = -1;
/** Type, length, count of columns. */
const HEAD_BYTES = 7;

const ROW = 0x44; // 'D'
const BACKSLASH = 0x5c;
const QUOTE = 0x22;

/** What is wrong with a row is said by RangeError, which its owner makes one of the protocol. */
export class RowMasker {
  readonly #cells: readonly (Cell | null)[];
  readonly #maskers: readonly (ValueMasker | null)[];
  readonly #masker: Masker;
  readonly #onHits: OnHits;
  /** No value needs to be looked at. */
  readonly passes: boolean;
  /** Values that are asked about at once, by their columns. */
  readonly #asked = new AskedCells();
  #parts: Part[] = [];

  constructor(cells: readonly (Cell | null)[], masker: Masker, onHits: OnHits) {
    this.#cells = cells;
    this.#maskers = cells.map((cell) => cell?.masker ?? null);
    this.#masker = masker;
    this.#onHits = onHits;
    this.passes = cells.every((cell) => cell === null);
  }

  /**
   * As many whole messages as begin at `at` one after the other, up to `end`. @returns where they end, and what is sent
   * instead of them; null: they pass as they are. @throws RangeError
   */
  rows(
    bytes: Buffer,
    at: number,
    end: number,
  ): { readonly end: number; readonly instead: Uint8Array[] | null } {
    const starts: number[] = [];
    this.#asked.clear();
    this.#parts = [];
    let here = at;
    while (end - here >= HEAD_BYTES && bytes[here] === ROW) {
      const next = here + 1 + bytes.readUInt32BE(here + 1);
      if (next > end) break;
      starts.push(here);
      this.#take(bytes, here, next);
      here = next;
    }
    this.#ask(bytes);
    const parts = this.#parts;
    if (parts.length === 0) return { end: here, instead: null };
    // Those that were asked about at once come after the others.
    parts.sort((one, other) => one.start - other.start);
    return { end: here, instead: [assemble(bytes, starts, here, parts)] };
  }

  /** One row. */
  #take(bytes: Buffer, at: number, end: number): void {
    const cells = this.#cells;
    if (bytes.readUInt16BE(at + 5) !== cells.length) throw unlike();
    let here = at + HEAD_BYTES;
    for (let index = 0; index < cells.length; index += 1) {
      if (here + 4 > end) throw unlike();
      const length = bytes.readInt32BE(here);
      here += 4;
      if (length === NULL_LENGTH) continue;
      if (length < 0 || here + length > end) throw unlike();
      const cell = cells[index];
      if (cell !== null && cell !== undefined && length > 0)
        this.#cell(cell, index, bytes, here, here + length);
      here += length;
    }
    if (here !== end) throw unlike();
  }

  #cell(cell: Cell, index: number, bytes: Buffer, start: number, end: number): void {
    const { searchedAs } = cell;
    if (
      searchedAs === undefined ||
      cell.masker.whole !== null ||
      end - start > VALUE_MAX_BYTES ||
      (searchedAs === 'parts' && isQuoted(bytes, start, end))
    ) {
      this.#replace(start, end, cell.whole(bytes.subarray(start, end)));
      return;
    }
    this.#asked.add(start, end, index);
  }

  #ask(bytes: Buffer): void {
    const asked = this.#asked;
    if (asked.count === 0) return;
    for (const masked of this.#masker.cells(bytes, asked.numbers, asked.count, this.#maskers)) {
      const [start = 0, end = 0, index = 0] = asked.at(masked.cell);
      const cell = this.#cells[index];
      if (cell?.searchedAs === 'text') {
        this.#onHits(masked.hits);
        if (!isSame(masked.bytes, bytes, start, end)) this.#replace(start, end, masked.bytes);
      } else this.#replace(start, end, cell?.whole(bytes.subarray(start, end)));
    }
  }

  #replace(start: number, end: number, masked: Masked): void {
    if (masked !== undefined) this.#parts.push({ start: start - 4, end, masked });
  }

  /** A message that is too long to be held: its length stays what it is. */
  long(): LongMessage {
    const pull = new Pull(this.#steps());
    return {
      push: (part) => pull.push(part),
      end: () => {
        if (!pull.finished) throw unlike();
        return Buffer.alloc(0);
      },
    };
  }

  *#steps(): Steps {
    const count = yield 2;
    if (count.readUInt16BE(0) !== this.#cells.length) throw unlike();
    for (const cell of this.#cells) {
      const length = (yield 4).readInt32BE(0);
      if (length === NULL_LENGTH) continue;
      if (length < 0) throw unlike();
      yield* field(cell, length);
    }
  }
}

/** A field that is replaced, its length with it. */
interface Part {
  readonly start: number;
  readonly end: number;
  readonly masked: Uint8Array | null;
}

/** The rows from the first of the starts to the end, with the parts, in their order, in place of what was there. */
function assemble(bytes: Buffer, starts: readonly number[], end: number, parts: readonly Part[]): Buffer {
  const first = starts[0] ?? end;
  let size = end - first;
  for (const part of parts) size += growthOf(part);
  const out = room(size);
  let from = first;
  let to = 0;
  let next = 0;
  for (let row = 0; row < starts.length && next < parts.length; row += 1) {
    const start = starts[row] ?? end;
    const rowEnd = starts[row + 1] ?? end;
    if ((parts[next]?.start ?? end) >= rowEnd) continue;
    // Where its length is written anew when it is known.
    const head = to + start - from;
    let length = rowEnd - start - 1;
    for (let part = parts[next]; part !== undefined && part.start < rowEnd; part = parts[next]) {
      to += bytes.copy(out, to, from, part.start);
      const { masked } = part;
      to = out.writeInt32BE(masked === null ? NULL_LENGTH : masked.length, to);
      if (masked !== null) {
        out.set(masked, to);
        to += masked.length;
      }
      from = part.end;
      length += growthOf(part);
      next += 1;
    }
    out.writeUInt32BE(length, head + 1);
  }
  bytes.copy(out, to, from, end);
  return out;
}

function growthOf({ start, end, masked }: Part): number {
  return 4 + (masked?.length ?? 0) - (end - start);
}

/** What was only observed is given back as it was. */
function isSame(masked: Uint8Array | null, bytes: Buffer, start: number, end: number): boolean {
  return (
    masked !== null &&
    masked.length === end - start &&
    bytes.compare(masked, 0, masked.length, start, end) === 0
  );
}

function isQuoted(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) if (bytes[at] === BACKSLASH || bytes[at] === QUOTE) return true;
  return false;
}

function unlike(): RangeError {
  return new RangeError('a row unlike its description');
}
