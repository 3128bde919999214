/**
 * A growing buffer for bytes that wait for the rest of their message.
 *
 * Growth is by doubling, so a peer that sends byte by byte costs linear, not quadratic, work. It has no bound
 * of its own: every reader knows the bound of its message and checks it before it appends.
 */
const INITIAL_BYTES = 512;

const NOTHING = Buffer.alloc(0);

export class ByteQueue {
  #store = NOTHING;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Copies the chunk in: the caller may reuse its memory. */
  append(chunk: Uint8Array): void {
    const needed = this.#length + chunk.length;
    if (needed > this.#store.length) {
      const grown = Buffer.alloc(Math.max(needed, this.#store.length * 2, INITIAL_BYTES));
      this.#store.copy(grown, 0, 0, this.#length);
      this.#store = grown;
    }
    this.#store.set(chunk, this.#length);
    this.#length = needed;
  }

  /** The bytes held, as a view that is valid until the next call that changes the queue. */
  peek(): Buffer {
    return this.#store.subarray(0, this.#length);
  }

  /** The bytes held, which are the caller's from now on; the queue is empty after. */
  take(): Buffer {
    const bytes = this.peek();
    this.#store = NOTHING;
    this.#length = 0;
    return bytes;
  }
}
