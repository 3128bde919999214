/**
 * Masks the data of COPY … TO STDOUT: field by field where rows come whole, as PostgreSQL sends them, one in each
 * message; a row too long for that, or cut otherwise, as it passes and keeping its length.
 *
 * Types do not show in a COPY. So that what comes out can be read in again, a number in which something was found becomes
 * NULL, and any other text a text.
 */
import type { ColumnFacts, Masker, MaskStream, ValueMasker } from '../../../mask/masker.ts';
import { HEADER_BYTES } from '../message.ts';
import type { LongMessage } from '../message-rewriter.ts';
import type { Catalog } from './catalog.ts';
import { type Cell, cellOf, type OnHits } from './cell.ts';
import { ANY_COLUMN, type ColumnRules, reachesIn } from './column-rules.ts';
import { CopyBinary } from './copy-binary.ts';
import { apart, readRow, writeField } from './copy-fields.ts';
import { copyData, RowPieces } from './copy-pieces.ts';
import type { CopyShape } from './copy-shape.ts';
import type { Relation, StatementFacts } from './touch.ts';

export interface CopyFacts {
  readonly isBinary: boolean;
  /** Of columns. */
  readonly count: number;
  /** Null: the statement was not understood. */
  readonly shape: CopyShape | null;
  readonly facts: StatementFacts | null;
  readonly columns: ColumnRules;
  readonly catalog: Catalog | null;
  readonly masker: Masker;
  readonly onHits: OnHits;
}

/** Data of one COPY, message by message. */
export interface CopyOut {
  /** The message at [at, end) of the bytes; null: as it is. @throws RangeError */
  whole(bytes: Buffer, at: number, end: number): Uint8Array | null;
  /** A message too long to be held. */
  long(): LongMessage;
  /** No more data. @throws RangeError when there should be */
  end(): void;
}

/** @throws RangeError where it cannot be masked */
export function planCopy(facts: CopyFacts): CopyOut {
  const { isBinary, shape, masker, onHits } = facts;
  const cells = cellsOf(columnsOf(facts), isBinary ? 1 : 0, masker, onHits);
  if (isBinary) return new CopyBinary(cells, masker, onHits);
  // Text and CSV look alike to whoever does not know the statement.
  if (shape === null) throw new RangeError('data of a COPY whose statement was not understood');
  return new CopyText(shape, cells, masker);
}

type Column = Omit<ColumnFacts, 'type'>;

const NOT_A_COLUMN: Column = { schema: '', table: '', column: '' };

/** Columns that are the same for masks have the same masker. */
function cellsOf(
  columns: readonly Column[],
  format: number,
  masker: Masker,
  onHits: OnHits,
): (Cell | null)[] {
  const made = new Map<Column, Cell | null>();
  for (const column of columns) {
    if (made.has(column)) continue;
    const own = masker.column({ ...column, type: null });
    made.set(column, cellOf({ typeOid: 0, format, masker: own, onHits }));
  }
  return columns.map((column) => made.get(column) ?? null);
}

/** What each column is for masks. What is not known may be any. */
function columnsOf({ count, shape, facts, columns, catalog }: CopyFacts): Column[] {
  const each = (column: Column): Column[] => Array.from({ length: count }, () => column);
  if (columns.rules.length === 0) return each(NOT_A_COLUMN);
  if (shape === null || facts === null || facts.runsCode) return each(ANY_COLUMN);
  if (columns.runsFunction(facts, catalog)) return each(ANY_COLUMN);
  if (columns.inStatistics(facts, catalog)) return each(ANY_COLUMN);
  const reaches = reachesIn(catalog);
  const reached = facts.relations.flatMap((relation) =>
    columns.rules.map((rule) => (relation.name === '*' ? 'by any name' : reaches(relation, rule))),
  );
  // What a view calls its columns says nothing of what they are.
  if (reached.includes('by any name')) return each(ANY_COLUMN);
  if (!reached.includes('by its name')) return each(NOT_A_COLUMN);
  const named = (column: string): Column => ({ schema: null, table: null, column });
  if (shape.table !== null) {
    const names = shape.columns ?? namesOf(shape.table, catalog);
    if (names === 'none') return each(NOT_A_COLUMN);
    return names === null || names.length !== count ? each(ANY_COLUMN) : names.map(named);
  }
  const derived = columns.anyTouched(facts, catalog) ? ANY_COLUMN : NOT_A_COLUMN;
  const { query } = shape;
  if (query === null || query.length !== count) return each(derived);
  return query.map((name) => (name === null ? derived : named(name)));
}

/** All columns of a table; `none`: none of it is masked, whatever they are. */
function namesOf(table: Relation, catalog: Catalog | null): readonly string[] | 'none' | null {
  if (catalog === null) return null;
  return catalog.knows(table) ? catalog.columnsOf(table) : 'none';
}

class CopyText implements CopyOut {
  readonly #shape: CopyShape;
  readonly #cells: readonly (Cell | null)[];
  readonly #pieces = new RowPieces();
  readonly #passes: boolean;
  /** What searches all fields alike, if they are only searched. */
  readonly #search: ValueMasker | null;
  /** Of what columns are called. */
  readonly #names: ValueMasker;
  #isHeader: boolean;

  constructor(shape: CopyShape, cells: readonly (Cell | null)[], names: ValueMasker) {
    this.#shape = shape;
    this.#cells = cells;
    this.#names = names;
    this.#isHeader = shape.header;
    this.#passes = cells.every((cell) => cell === null);
    const first = cells[0]?.masker ?? null;
    this.#search = first?.whole === null && cells.every((cell) => cell?.masker === first) ? first : null;
  }

  whole(bytes: Buffer, at: number, end: number): Uint8Array | null {
    if (this.#passes) return null;
    const piece = bytes.subarray(at + HEADER_BYTES, end);
    const content = this.#pieces.join(piece);
    const masked = content.at(-1) === NEW_LINE ? this.#rows(content) : undefined;
    if (masked === undefined) return this.#pieces.keep(content);
    return masked ?? (content === piece ? null : copyData(content));
  }

  /** Undefined: the last row is not whole; null: they pass as they are. @throws RangeError */
  #rows(content: Buffer): Buffer | null | undefined {
    const shape = this.#shape;
    if (this.#isClean(content)) return null;
    const text = content.toString('latin1');
    let isHeader = this.#isHeader;
    let out = '';
    let written = 0;
    for (let here = 0; here < text.length; isHeader = false) {
      const row = readRow(text, here, shape);
      if (row === null) return undefined;
      here = row.end;
      // COPY of a table without columns has rows of nothing.
      if (row.fields.length !== this.#cells.length && this.#cells.length > 0)
        throw new RangeError('a row of a COPY with other columns than it has');
      for (const [index, field] of row.fields.entries()) {
        const cell = isHeader ? this.#name : (this.#cells[index] ?? null);
        const masked = maskField(cell, field.value);
        if (masked === undefined) continue;
        out += text.slice(written, field.start) + writeField(masked, shape);
        written = field.end;
      }
    }
    this.#isHeader = false;
    return written === 0 ? null : copyData(Buffer.from(out + text.slice(written), 'latin1'));
  }

  /** Rows in which nothing is found as they stand, and nothing is written otherwise than it is. */
  #isClean(content: Buffer): boolean {
    const search = this.#search;
    if (search === null || this.#isHeader) return false;
    if (content.includes(this.#shape.format === 'csv' ? this.#shape.quote : '\\')) return false;
    return search.value(apart(content, this.#shape)) === null;
  }

  readonly #name: Pick<Cell, 'whole'> = {
    whole: (bytes) => {
      const masked = this.#names.value(bytes);
      return masked === null ? undefined : masked.bytes;
    },
  };

  /** One with all the names that a table may have is shorter. */
  long(): LongMessage {
    this.#pieces.none();
    if (this.#isHeader) throw new RangeError('names of columns that are too long');
    return new LongRow(this.#shape, this.#cells);
  }

  end(): void {
    this.#pieces.none();
  }
}

function maskField(cell: Pick<Cell, 'whole'> | null, value: string | null): string | null | undefined {
  // As in rows: of an empty text there is nothing to mask.
  if (cell === null || value === null || value === '') return undefined;
  const masked = cell.whole(Buffer.from(value, 'latin1'));
  return masked === undefined || masked === null ? masked : Buffer.from(masked).toString('latin1');
}

/** Masks a row as it passes: each of its fields as a text that is too long to be held. */
export class LongRow implements LongMessage {
  readonly #shape: CopyShape;
  readonly #cells: readonly (Cell | null)[];
  #index = 0;
  #inQuotes = false;
  #isEscaped = false;
  #last = 0;
  #field: FieldStream | null = null;

  constructor(shape: CopyShape, cells: readonly (Cell | null)[]) {
    this.#shape = shape;
    this.#cells = cells;
    this.#field = this.#open();
  }

  #open(): FieldStream | null {
    return this.#cells[this.#index]?.masker.stream() ?? null;
  }

  get #isWhole(): boolean {
    return (this.#cells[this.#index]?.masker.whole ?? null) !== null;
  }

  push(part: Buffer): Uint8Array {
    const out: Uint8Array[] = [];
    const { format } = this.#shape;
    const delimiter = this.#shape.delimiter.charCodeAt(0);
    const quote = format === 'csv' ? this.#shape.quote.charCodeAt(0) : NONE;
    const backslash = format === 'csv' ? NONE : BACKSLASH;
    let from = 0;
    for (let at = 0; at < part.length; at += 1) {
      const byte = part[at] ?? 0;
      if (this.#isEscaped) {
        this.#isEscaped = false;
        continue;
      }
      if (byte === backslash) this.#isEscaped = true;
      if (byte === quote) this.#inQuotes = !this.#inQuotes;
      const ends = !this.#inQuotes && (byte === delimiter || byte === NEW_LINE);
      // Of a field of which nothing may be seen quotes are still to be quotes; else they are a part of what is searched.
      if (!ends && !(byte === quote && this.#isWhole)) continue;
      this.#give(part.subarray(from, at), out);
      if (ends) this.#close(out);
      out.push(part.subarray(at, at + 1));
      from = at + 1;
      if (byte === delimiter) this.#index += 1;
      if (ends) this.#field = this.#open();
    }
    this.#give(part.subarray(from), out);
    this.#last = part.at(-1) ?? this.#last;
    return Buffer.concat(out);
  }

  #give(bytes: Buffer, out: Uint8Array[]): void {
    if (bytes.length > 0) out.push(this.#field?.push(bytes) ?? bytes);
  }

  #close(out: Uint8Array[]): void {
    if (this.#field !== null) out.push(this.#field.end());
    this.#field = null;
  }

  end(): Uint8Array {
    if (this.#last !== NEW_LINE || this.#inQuotes || this.#isEscaped) throw new RangeError(CUT);
    return NOTHING;
  }
}

type FieldStream = Pick<MaskStream, 'push' | 'end'>;

const CUT = 'a row of a COPY that is too long, and cut';
const NOTHING = Buffer.alloc(0);
const NONE = -1;
const NEW_LINE = 0x0a;
const BACKSLASH = 0x5c;
