/**
 * The frame every protocol's reading is built on. A layer reads one direction of one conversation. It owns no socket, no timer
 * and no clock: events go in, commands come out, and the same events give the same commands whatever the chunks were.
 *
 *   event                command
 *   push(chunk)          send: the bytes it returns go on to where the chunk was going
 *   answer(answer)       decide: a question, put to the function the layer was given for it, which answers at once or says LATER
 *                        stop reading: `full`
 *
 * **A decision may come later.** A layer that has been told LATER is `paused`: whatever is pushed waits in it, in order, and
 * nothing of what the question is about has been sent. Only that layer waits. The other direction is a layer of its own and goes on,
 * as do other conversations. Whoever drives it puts the clock to the question, calls `answer()` once, and then pushes what has
 * come since, be it nothing: what the answer sets free is returned by that push, and so is what an error throws. Bytes that wait
 * are bounded by `full`: at that the driver stops reading, so that the peer is the one to wait.
 *
 * **Layers are stacked, not chained**, where they read the same messages: the first cuts them and hands them on whole
 * (postgres/message-rewriter.ts). Costs are those of chunks, not of messages: neither an event nor a command is an object.
 *
 * **Other protocols.** What a question is and what answers it are the protocol's (`Answer`).
 * - HTTP/1: each direction is a layer. It asks when the head of a request is whole; the body waits with it. Responses to requests that
 *   were pipelined before go on, as they are the other layer.
 * - HTTP/2, and gRPC in it: the connection is a layer that cuts frames and never asks. Each stream has a layer of its own for each
 *   direction, which is pushed the content of that stream's frames. A stream that is paused does not stop its siblings: the connection
 *   goes on reading, and gives a stream that is `full` no more window, so that its peer stops sending for that stream alone.
 * - WebSocket: a layer that takes the place of HTTP/1's in both directions after the upgrade and asks for each message, which may
 *   be many frames; a control frame in between belongs to the connection and does not wait.
 *
 * Tests are playbooks: events and the commands they are to give, in turn (test/support/playbook.ts).
 */
import { ByteQueue } from '../core/byte-queue.ts';
import { IncrementalReader } from '../core/incremental-reader.ts';

/** Said instead of an answer: it will come by `answer()`. */
export const LATER = Symbol('later');

/** Read while an answer is awaited, so that the end of a peer that does not wait is seen behind what it had sent. */
const WAITING_MAX_BYTES = 65_536;

const NOTHING = new Uint8Array(0);

export abstract class Layer<Answer = never> extends IncrementalReader<Uint8Array[]> {
  #paused = false;
  /** Boxed, as null may be an answer. */
  #answer: { readonly is: Answer } | null = null;
  readonly #waiting = new ByteQueue();

  /** It waits for an answer. */
  get paused(): boolean {
    return this.#paused;
  }

  /** No more should be pushed but what has been read already. */
  get full(): boolean {
    return this.#paused && this.#waiting.length >= WAITING_MAX_BYTES;
  }

  /** What the question was answered; takes effect with the next push. Nothing when nothing was asked. */
  answer(answer: Answer): void {
    if (this.#paused) this.#answer ??= { is: answer };
  }

  /** Takes bytes until they are used up or it has paused. */
  protected abstract take(chunk: Uint8Array): Uint8Array[];

  /** What the answer makes of what was asked about; it may ask again. */
  protected abstract answered(answer: Answer): Uint8Array[];

  /** Told of bytes that wait, as they come. Nothing can be sent yet. */
  protected waits(_bytes: Uint8Array): void {
    // What waits need not be looked at.
  }

  /** To be called when the function for questions has said LATER. @param rest bytes behind what was asked about */
  protected pause(rest: Uint8Array): void {
    this.#paused = true;
    this.#wait(rest);
  }

  #wait(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#waiting.append(bytes);
    this.waits(bytes);
  }

  protected override read(chunk: Uint8Array): Uint8Array[] {
    let out: Uint8Array[] = [];
    if (this.#paused) this.#wait(chunk);
    else out = this.take(chunk);
    while (this.#answer !== null) {
      const { is } = this.#answer;
      this.#answer = null;
      this.#paused = false;
      const waited = this.#waiting.length === 0 ? NOTHING : this.#waiting.take();
      for (const part of this.answered(is)) out.push(part);
      if (this.#paused) this.#wait(waited);
      else if (waited.length > 0) for (const part of this.take(waited)) out.push(part);
    }
    return out;
  }
}
