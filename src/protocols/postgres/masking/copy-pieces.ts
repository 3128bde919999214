/**
 * Rows of a COPY that come in pieces. PostgreSQL sends one row in each message, so that this is for what stands between it
 * and Sluice: pieces are kept until the row is whole, within bounds.
 */
import { ByteQueue } from '../../../core/byte-queue.ts';
import { message } from '../message.ts';

/** As of messages that are held. */
const KEPT_MAX_BYTES = 1_048_576;
/** Each piece costs a look at what is there already. */
const PIECES_MAX = 64;

const COPY_DATA = 0x64; // 'd'
const NOTHING = Buffer.alloc(0);

export class RowPieces {
  readonly #kept = new ByteQueue();
  #count = 0;

  /** What was kept with this behind it; the piece itself where nothing was. */
  join(piece: Buffer): Buffer {
    if (this.#kept.length === 0) return piece;
    this.#kept.append(piece);
    this.#count += 1;
    return this.#kept.take();
  }

  /** @returns what is sent instead: nothing yet. @throws RangeError */
  keep(content: Buffer): Buffer {
    if (content.length > KEPT_MAX_BYTES || this.#count > PIECES_MAX) throw cut();
    this.#kept.append(content);
    return NOTHING;
  }

  /** @throws RangeError where something is kept */
  none(): void {
    if (this.#kept.length > 0) throw cut();
  }
}

function cut(): RangeError {
  return new RangeError('a row of a COPY that is too long, and cut');
}

export function copyData(...content: readonly Uint8Array[]): Buffer {
  return message(COPY_DATA, ...content);
}
