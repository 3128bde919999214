/**
 * Rewrites a stream of length-prefixed fields as it passes, for messages too long to be held. What is to be done is
 * written as a generator that asks for bytes; everything keeps its length.
 */
import { ByteQueue } from '../../../core/byte-queue.ts';
import type { MaskStream } from '../../../mask/masker.ts';
import type { Cell } from './cell.ts';

type ByteStream = Pick<MaskStream, 'push' | 'end'>;

/** A number: that many bytes, to be looked at, which pass as they are. */
export type Step =
  | number
  /** That many bytes at once; what comes back takes their place. */
  | { readonly held: number; readonly mask: (bytes: Buffer) => Uint8Array }
  /** That many bytes, as they come. */
  | { readonly through: ByteStream; readonly length: number };

export type Steps = Generator<Step, void, Buffer>;

/** Values up to this length are held also in messages that are not. */
export const VALUE_HELD_MAX_BYTES = 65_536;

const NOTHING = Buffer.alloc(0);
/** For what is not to be masked. */
export const PASS: ByteStream = { push: (chunk) => chunk, end: () => NOTHING };

export class Pull {
  readonly #steps: Steps;
  readonly #held = new ByteQueue();
  #step: Step | null = null;
  #left = 0;

  constructor(steps: Steps) {
    this.#steps = steps;
    this.#next(NOTHING);
  }

  /** Whether it has taken all it wanted. */
  get finished(): boolean {
    return this.#step === null;
  }

  push(part: Buffer): Uint8Array {
    const { out, used } = this.take(part);
    // Bytes nobody asked for: the message says more than it counts.
    if (used < part.length) throw new RangeError('more than was announced');
    return out;
  }

  /** As push(), of as many bytes as it wants. */
  take(part: Buffer): { readonly out: Uint8Array; readonly used: number } {
    const out: Uint8Array[] = [];
    let at = 0;
    while (at < part.length && this.#step !== null) {
      const piece = part.subarray(at, at + this.#left);
      at += piece.length;
      this.#left -= piece.length;
      this.#take(this.#step, piece, out);
    }
    return { out: out.length === 1 ? (out[0] ?? NOTHING) : Buffer.concat(out), used: at };
  }

  #take(step: Step, piece: Buffer, out: Uint8Array[]): void {
    if (typeof step === 'object' && 'through' in step) {
      out.push(step.through.push(piece));
      if (this.#left > 0) return;
      out.push(step.through.end());
      this.#next(NOTHING);
      return;
    }
    this.#held.append(piece);
    if (this.#left > 0) return;
    const held = this.#held.take();
    out.push(typeof step === 'number' ? held : step.mask(held));
    this.#next(held);
  }

  /** Steps of no bytes are done at once. */
  #next(answer: Buffer): void {
    for (let said = answer; ; said = NOTHING) {
      const { done, value } = this.#steps.next(said);
      this.#step = done ? null : value;
      if (done) return;
      this.#left = typeof value === 'number' ? value : 'held' in value ? value.held : value.length;
      if (this.#left > 0) return;
    }
  }
}

/** A value of that length, masked or passed on. @throws RangeError where it cannot be masked and may not pass */
export function* field(cell: Cell | null, length: number): Steps {
  if (cell === null) {
    yield { through: PASS, length };
  } else if (length <= VALUE_HELD_MAX_BYTES) {
    yield { held: length, mask: (bytes) => cell.sameLength(bytes) ?? cannot() };
  } else {
    yield { through: cell.stream(length) ?? cannot(), length };
  }
}

function cannot(): never {
  throw new RangeError('a value that cannot be masked where it stands');
}
