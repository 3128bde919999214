/** Finds the end of the session among messages that wait for a decision. What is no message shows when they are read. */
import { HEADER_BYTES } from './message.ts';

const TERMINATE = 0x58; // 'X'

export class TerminateWatch {
  #head = Buffer.alloc(0);
  #skip = 0;

  /** From the beginning of a message on. */
  restart(): void {
    this.#head = Buffer.alloc(0);
    this.#skip = 0;
  }

  /** Whether Terminate begins in what comes next, which may be cut anywhere. */
  sees(bytes: Uint8Array): boolean {
    let at = 0;
    while (at < bytes.length) {
      const skipped = Math.min(this.#skip, bytes.length - at);
      this.#skip -= skipped;
      at += skipped;
      const part = bytes.subarray(at, at + HEADER_BYTES - this.#head.length);
      this.#head = Buffer.concat([this.#head, part]);
      at += part.length;
      if (this.#head[0] === TERMINATE) return true;
      if (this.#head.length < HEADER_BYTES) return false;
      this.#skip = Math.max(0, this.#head.readUInt32BE(1) - 4);
      this.#head = Buffer.alloc(0);
    }
    return false;
  }
}
