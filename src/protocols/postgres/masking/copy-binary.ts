/**
 * Masks the data of COPY … TO STDOUT (FORMAT binary): a signature, then for each row a count of fields and the fields
 * with their lengths, and -1 for a count in the end (PostgreSQL documentation, "COPY", "Binary Format").
 */
import type { Masker } from '../../../mask/masker.ts';
import { HEADER_BYTES } from '../message.ts';
import type { LongMessage } from '../message-rewriter.ts';
import type { Cell, OnHits } from './cell.ts';
import type { CopyOut } from './copy-out.ts';
import { copyData, RowPieces } from './copy-pieces.ts';
import { field, Pull, type Steps } from './pull.ts';
import { RowMasker } from './rows.ts';

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
/** Signature, flags, length of what the header is extended by. */
const FILE_HEAD_BYTES = 19;
export const END_OF_ROWS = -1;

export class CopyBinary implements CopyOut {
  readonly passes: boolean;
  readonly #cells: readonly (Cell | null)[];
  readonly #rows: RowMasker;
  readonly #pieces = new RowPieces();
  #isFirst = true;

  constructor(cells: readonly (Cell | null)[], masker: Masker, onHits: OnHits) {
    this.#cells = cells;
    this.#rows = new RowMasker(cells, masker, onHits);
    this.passes = this.#rows.passes;
  }

  whole(bytes: Buffer, at: number, end: number): Uint8Array | null {
    const piece = bytes.subarray(at + HEADER_BYTES, end);
    const content = this.#pieces.join(piece);
    const masked = this.#content(content);
    if (masked === undefined) return this.#pieces.keep(content);
    return masked ?? (content === piece ? null : copyData(content));
  }

  /** Undefined: the last row is not whole; null: it passes as it is. */
  #content(content: Buffer): Buffer | null | undefined {
    const start = this.#isFirst ? fileHead(content) : 0;
    if (start === null) return undefined;
    const out: Uint8Array[] = [];
    let written = 0;
    for (let here = start; here < content.length; ) {
      const end = rowEnd(content, here);
      if (end === null) return undefined;
      // A row is a DataRow without type and length: it is masked as one.
      const row = content.readInt16BE(here) === END_OF_ROWS ? null : asRow(content.subarray(here, end));
      const instead = row === null ? null : this.#rows.rows(row, 0, row.length).instead;
      if (instead !== null) {
        out.push(content.subarray(written, here), Buffer.concat(instead).subarray(HEADER_BYTES));
        written = end;
      }
      here = end;
    }
    this.#isFirst = false;
    return out.length === 0 ? null : copyData(...out, content.subarray(written));
  }

  /** A message that is too long to be held, which is one row. */
  long(): LongMessage {
    this.#pieces.none();
    const pull = new Pull(this.#steps(this.#isFirst));
    this.#isFirst = false;
    return {
      push: (part) => pull.push(part),
      end: () => {
        if (!pull.finished) throw new RangeError('a row of a COPY that is too long, and cut');
        return Buffer.alloc(0);
      },
    };
  }

  end(): void {
    this.#pieces.none();
  }

  *#steps(isFirst: boolean): Steps {
    if (isFirst) {
      const extension = (yield FILE_HEAD_BYTES).readUInt32BE(FILE_HEAD_BYTES - 4);
      if (extension > 0) yield extension;
    }
    const count = (yield 2).readInt16BE(0);
    if (count !== this.#cells.length) throw new RangeError('a row of a COPY with other columns than it has');
    for (const cell of this.#cells) {
      const length = (yield 4).readInt32BE(0);
      if (length >= 0) yield* field(cell, length);
    }
  }
}

export function asRow(content: Buffer): Buffer {
  const row = copyData(content);
  row.write('D', 0, 'latin1');
  return row;
}

/** Where the first row begins; null: the header is not whole. @throws RangeError */
export function fileHead(content: Buffer): number | null {
  if (content.length < FILE_HEAD_BYTES) return null;
  if (!content.subarray(0, SIGNATURE.length).equals(SIGNATURE))
    throw new RangeError('data that is no binary COPY');
  const end = FILE_HEAD_BYTES + content.readUInt32BE(FILE_HEAD_BYTES - 4);
  return end <= content.length ? end : null;
}

/** Where the row ends that begins at `start`; null: it is not whole. */
function rowEnd(content: Buffer, start: number): number | null {
  if (content.length - start < 2) return null;
  const count = content.readInt16BE(start);
  let at = start + 2;
  for (let index = 0; index < count; index += 1) {
    if (at + 4 > content.length) return null;
    at += 4 + Math.max(0, content.readInt32BE(at));
  }
  return at <= content.length ? at : null;
}
