/** DNS over TCP: each message behind its length in two bytes (RFC 1035 §4.2.2). */
import { IncrementalReader } from '../../core/incremental-reader.ts';
import { type Fault, ProtocolError } from '../../core/protocol-error.ts';
import { HEADER_BYTES } from './codes.ts';

/** Gives the messages that are whole after each chunk. */
export class FrameReader extends IncrementalReader<readonly Buffer[]> {
  readonly #fault: Fault;
  readonly #maxBytes: number;
  #held: Buffer = Buffer.alloc(0);

  /** @param fault who sends what is read here */
  constructor(fault: Fault, maxBytes: number) {
    super();
    this.#fault = fault;
    this.#maxBytes = maxBytes;
  }

  protected read(chunk: Uint8Array): readonly Buffer[] {
    this.#held = Buffer.concat([this.#held, chunk]);
    const messages: Buffer[] = [];
    while (this.#held.length >= 2) {
      const length = this.#held.readUInt16BE(0);
      if (length < HEADER_BYTES)
        throw new ProtocolError('dns', this.#fault, 'a frame too short for a message');
      if (length > this.#maxBytes) throw new ProtocolError('dns', this.#fault, 'a frame that is too long');
      if (this.#held.length < length + 2) break;
      messages.push(Buffer.from(this.#held.subarray(2, length + 2)));
      this.#held = this.#held.subarray(length + 2);
    }
    return messages;
  }
}

export function encodeFrame(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length, 0);
  return Buffer.concat([length, message]);
}
