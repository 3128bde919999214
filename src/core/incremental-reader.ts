/**
 * What all readers of a byte stream share: chunks in, a value out when there is one, and a failure that stays.
 *
 * A reader that has thrown has lost its place in the stream. Whatever is pushed into it later gets the same
 * error again, so that no caller can, by catching and carrying on, have half-understood bytes passed.
 */
export abstract class IncrementalReader<Value> {
  #failure: unknown;

  /**
   * Takes the next bytes of the stream, cut anywhere. The chunk is not kept: what is needed later is copied.
   * Throws ProtocolError, and from then on always the same one.
   */
  push(chunk: Uint8Array): Value {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      return this.read(chunk);
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }

  protected abstract read(chunk: Uint8Array): Value;
}
