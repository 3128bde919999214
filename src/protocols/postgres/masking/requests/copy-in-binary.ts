/** Rows of COPY … FROM STDIN (FORMAT binary): see ../copy-binary.ts for what they are. */
import { ByteQueue } from '../../../../core/byte-queue.ts';
import type { Masker } from '../../../../mask/masker.ts';
import { HEADER_BYTES } from '../../message.ts';
import type { OnHits } from '../cell.ts';
import { asRow, END_OF_ROWS, fileHead } from '../copy-binary.ts';
import { field, Pull, type Steps } from '../pull.ts';
import { RowMasker } from '../rows.ts';
import type { CellAt, CopyIn } from './copy-in.ts';

const ROW_HELD_MAX_BYTES = 1_048_576;
/** Signature, flags, length; what a header is extended by has no use yet. */
const HEAD_MAX_BYTES = 65_536;
const NOTHING = Buffer.alloc(0);

export class CopyInBinary implements CopyIn {
  readonly #cellAt: CellAt;
  readonly #masker: Masker;
  readonly #onHits: OnHits;
  readonly #held = new ByteQueue();
  /** What has to be there before it is worth looking again. */
  #wanted = 0;
  #rows: RowMasker | null = null;
  #count = -1;
  #long: Pull | null = null;
  #place: 'head' | 'rows' | 'behind' = 'head';

  constructor(cellAt: CellAt, masker: Masker, onHits: OnHits) {
    this.#cellAt = cellAt;
    this.#masker = masker;
    this.#onHits = onHits;
  }

  push(part: Buffer): Uint8Array {
    const out: Uint8Array[] = [];
    for (let rest = part; rest.length > 0; ) {
      if (this.#long !== null) {
        const taken = this.#long.take(rest);
        out.push(taken.out);
        rest = rest.subarray(taken.used);
        if (this.#long.finished) this.#long = null;
        continue;
      }
      this.#held.append(rest);
      if (this.#held.length < this.#wanted) break;
      const held = this.#held.take();
      rest = held.subarray(this.#read(held, out));
      if (this.#place === 'head' && rest.length > HEAD_MAX_BYTES)
        throw new RangeError('data that is no binary COPY');
      if (this.#place === 'rows' && rest.length > ROW_HELD_MAX_BYTES) {
        this.#wanted = 0;
        this.#long = new Pull(this.#steps());
        continue;
      }
      this.#held.append(rest);
      break;
    }
    return Buffer.concat(out);
  }

  end(): Uint8Array {
    // A row that is not whole is the server's to refuse, but not to see.
    if (this.#held.length > 0 || this.#long !== null) throw new RangeError('a row of a COPY that is cut');
    return NOTHING;
  }

  /** How many bytes are whole. */
  #read(bytes: Buffer, out: Uint8Array[]): number {
    let at = 0;
    if (this.#place === 'head') {
      const end = fileHead(bytes);
      if (end === null) return 0;
      out.push(bytes.subarray(0, end));
      at = end;
      this.#place = 'rows';
    }
    while (this.#place === 'rows' && at < bytes.length) {
      const end = this.#rowEnd(bytes, at);
      if (end === null) return at;
      this.#row(bytes.subarray(at, end), out);
      at = end;
    }
    // Behind the end of the rows nothing may follow: the server does not look at it, and it is not sent.
    return this.#place === 'behind' ? bytes.length : at;
  }

  #rowEnd(bytes: Buffer, start: number): number | null {
    this.#wanted = 0;
    if (bytes.length - start < 2) return null;
    const count = bytes.readInt16BE(start);
    if (count < END_OF_ROWS) throw new RangeError('a row of a COPY without columns');
    let at = start + 2;
    for (let index = 0; index < count; index += 1) {
      if (at + 4 > bytes.length || at - start > ROW_HELD_MAX_BYTES) return this.#wants(at + 4 - start);
      const length = bytes.readInt32BE(at);
      if (length < -1) throw new RangeError('a row unlike its description');
      at += 4 + Math.max(0, length);
    }
    // However it is cut, a row too long to be held is not held.
    return at <= bytes.length && at - start <= ROW_HELD_MAX_BYTES ? at : this.#wants(at - start);
  }

  #wants(bytes: number): null {
    this.#wanted = Math.min(bytes, ROW_HELD_MAX_BYTES + 1);
    return null;
  }

  #row(content: Buffer, out: Uint8Array[]): void {
    const count = content.readInt16BE(0);
    if (count === END_OF_ROWS) {
      this.#place = 'behind';
      out.push(content);
      return;
    }
    if (count !== this.#count || this.#rows === null) {
      this.#count = count;
      const cells = Array.from({ length: count }, (_, index) => this.#cellAt(index));
      this.#rows = new RowMasker(cells, this.#masker, this.#onHits);
    }
    const row = asRow(content);
    const { instead } = this.#rows.rows(row, 0, row.length);
    out.push(instead === null ? content : Buffer.concat(instead).subarray(HEADER_BYTES));
  }

  /** A row that is too long to be held keeps its length. */
  *#steps(): Steps {
    const count = (yield 2).readInt16BE(0);
    for (let index = 0; index < count; index += 1) {
      const length = (yield 4).readInt32BE(0);
      if (length > 0) yield* field(this.#cellAt(index), length);
    }
  }
}
