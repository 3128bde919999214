/**
 * Cuts a stream of PostgreSQL messages (type, length, content) and lets each pass, be held, or be left out, whatever the
 * chunks are. What passes is never copied and has no bound; what is held has the bound its owner gives.
 */
import { ByteQueue } from '../../core/byte-queue.ts';
import { IncrementalReader } from '../../core/incremental-reader.ts';
import { type Fault, ProtocolError } from '../../core/protocol-error.ts';

/** Type byte and length, which counts itself and not the type. */
export const HEADER_BYTES = 5;

/** `hold`: handed to `replace()` when it is whole. `drop`: left out, and `dropped()` says what stands in its place. */
export type Handling = 'pass' | 'hold' | 'drop';

export abstract class MessageFilter extends IncrementalReader<Uint8Array[]> {
  /** It has the last word about its stream until the stream ends. */
  readonly done = false;
  readonly #fault: Fault;
  readonly #held = new ByteQueue();
  /** Bytes of the current message that are still to pass, or to be left out. */
  #passing = 0;
  #dropping = 0;
  #droppedType = 0;

  constructor(fault: Fault) {
    super();
    this.#fault = fault;
  }

  /** @param length as in the message: content and 4. Decides at once what becomes of the whole message. */
  protected abstract handle(type: number, length: number): Handling;

  /** What is sent for a message that was held; the message itself to let it go. */
  protected abstract replace(message: Buffer): Buffer;

  protected abstract dropped(type: number): Buffer;

  /** The next `bytes` are no messages and pass. */
  protected passRaw(bytes: number): void {
    this.#passing += bytes;
  }

  /** What comes out may be views of the chunk. */
  protected override read(chunk: Uint8Array): Uint8Array[] {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    const out: Uint8Array[] = [];
    /** Where the bytes begin that pass and have not been given out yet. */
    let run = 0;
    let at = 0;
    const flush = (to: number): void => {
      if (to > run) out.push(bytes.subarray(run, to));
    };
    while (at < bytes.length) {
      if (this.#passing > 0) {
        const count = Math.min(this.#passing, bytes.length - at);
        this.#passing -= count;
        at += count;
        continue;
      }
      if (this.#held.length === 0 && this.#dropping === 0 && bytes.length - at >= HEADER_BYTES) {
        const length = this.#lengthAt(bytes, at);
        const type = bytes[at] ?? 0;
        if (this.handle(type, length) === 'pass') {
          this.#passing = 1 + length;
          continue;
        }
      }
      flush(at);
      at = this.#dropping > 0 ? this.#drop(bytes, at, out) : this.#hold(bytes, at, out);
      run = at;
    }
    flush(at);
    return out;
  }

  #drop(bytes: Buffer, at: number, out: Uint8Array[]): number {
    const count = Math.min(this.#dropping, bytes.length - at);
    this.#dropping -= count;
    if (this.#dropping === 0) out.push(this.dropped(this.#droppedType));
    return at + count;
  }

  /** Takes the next bytes of a message of which not all is there; says where it stopped. */
  #hold(bytes: Buffer, at: number, out: Uint8Array[]): number {
    const held = this.#held;
    const begins = held.length < HEADER_BYTES;
    const missing = (begins ? HEADER_BYTES : 1 + held.peek().readUInt32BE(1)) - held.length;
    const end = Math.min(bytes.length, at + missing);
    held.append(bytes.subarray(at, end));
    if (begins && held.length === HEADER_BYTES) this.#begin(out);
    else if (!begins && end - at === missing) out.push(this.replace(held.take()));
    return end;
  }

  /** The header is there. */
  #begin(out: Uint8Array[]): void {
    const held = this.#held;
    const length = this.#lengthAt(held.peek(), 0);
    const type = held.peek()[0] ?? 0;
    const handling = this.handle(type, length);
    const rest = length - 4;
    if (handling === 'hold') {
      if (rest === 0) out.push(this.replace(held.take()));
      return;
    }
    const header = held.take();
    if (handling === 'pass') {
      out.push(header);
      this.#passing = rest;
      return;
    }
    this.#droppedType = type;
    this.#dropping = rest;
    if (rest === 0) out.push(this.dropped(type));
  }

  #lengthAt(bytes: Buffer, at: number): number {
    const length = bytes.readUInt32BE(at + 1);
    // The server reads it as signed.
    if (length < 4 || length > 0x7fff_ffff) throw this.refused('a message of invalid length');
    return length;
  }

  protected refused(problem: string): ProtocolError {
    const who = this.#fault === 'agent' ? 'client' : 'server';
    return new ProtocolError('postgres', this.#fault, `the PostgreSQL ${who} sent ${problem}`);
  }
}
