/**
 * Reads TLS's presentation language (RFC 8446 §3): big-endian numbers and vectors with their length in front.
 *
 * Rule: every read is checked against the bytes there are, and `end()` against bytes left over, so that a
 * structure is either understood whole or refused (RFC 8446 §6, decode_error).
 */
import { ProtocolError } from '../core/protocol-error.ts';

export class VectorReader {
  readonly #bytes: Buffer;
  readonly #what: string;
  #at = 0;

  /** `what` names the structure in error messages. */
  constructor(bytes: Buffer, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  uint(size: 1 | 2): number {
    return this.bytes(size).readUIntBE(0, size);
  }

  bytes(count: number): Buffer {
    if (count > this.#bytes.length - this.#at) throw this.#malformed('is cut short');
    const found = this.#bytes.subarray(this.#at, this.#at + count);
    this.#at += count;
    return found;
  }

  /** A vector whose length stands in `lengthSize` bytes in front of it and is at least `least`. */
  vector(lengthSize: 1 | 2, least: number): Buffer {
    const length = this.uint(lengthSize);
    if (length < least) throw this.#malformed('has a vector that is too short');
    return this.bytes(length);
  }

  /** As `vector`, to be read in turn. */
  nested(lengthSize: 1 | 2, least: number): VectorReader {
    return new VectorReader(this.vector(lengthSize, least), this.#what);
  }

  /** All that is left, as 16-bit numbers. */
  uint16s(): number[] {
    const numbers: number[] = [];
    while (!this.atEnd) numbers.push(this.uint(2));
    return numbers;
  }

  /** Nothing may be left. */
  end(): void {
    if (!this.atEnd) throw this.#malformed('has bytes after its end');
  }

  #malformed(problem: string): ProtocolError {
    return new ProtocolError('tls', 'agent', `${this.#what} ${problem}`);
  }
}
