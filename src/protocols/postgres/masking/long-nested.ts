/**
 * Masks arrays and composites in PostgreSQL's binary format that are too long to be held, element by element as they pass
 * (nested-binary.ts says what they are). Each keeps its length.
 *
 * Of a type that nobody knows it shows in its first bytes whether it is one of them. What is neither is searched as it stands, but for
 * multiranges, whose numbers would not be found so.
 */
import type { MaskStream } from '../../../mask/masker.ts';
import type { Cell } from './cell.ts';
import { DIMENSIONS_MAX, NULL_LENGTH } from './nested-binary.ts';
import { field, PASS, Pull, type Step, type Steps, VALUE_HELD_MAX_BYTES } from './pull.ts';

type ByteStream = Pick<MaskStream, 'push' | 'end'>;

export interface NestedFacts {
  /** Of the whole value, in bytes. */
  readonly length: number;
  /** For values in it. */
  readonly cellOf: (typeOid: number) => Cell | null;
  /** Where it is neither; null: it may not pass then. */
  readonly other: ByteStream | null;
}

/** Of an array: dimensions, whether there is a NULL, the elements' type, size and first index of the first dimension. */
const HEAD_BYTES = 20;
/** As many elements at once as are in so many bytes. */
const BATCH_BYTES = 65_536;
/** PostgreSQL's own (MaxTupleAttributeNumber). */
const FIELDS_MAX = 1_664;
const NOTHING = Buffer.alloc(0);

export class LongNested implements ByteStream {
  readonly #facts: NestedFacts;
  #head: Buffer = NOTHING;
  #inside: ByteStream | null = null;

  constructor(facts: NestedFacts) {
    this.#facts = facts;
  }

  /** @throws RangeError when it is not what it seemed, or cannot be masked */
  push(chunk: Uint8Array): Uint8Array {
    if (this.#inside !== null) return this.#inside.push(chunk);
    this.#head = Buffer.concat([this.#head, chunk]);
    if (this.#head.length < HEAD_BYTES) return NOTHING;
    this.#inside = insideOf(this.#head, this.#facts);
    return this.#inside.push(this.#head);
  }

  end(): Uint8Array {
    if (this.#inside !== null) return this.#inside.end();
    const inside = this.#facts.other ?? cannot();
    return Buffer.concat([inside.push(this.#head), inside.end()]);
  }
}

function insideOf(head: Buffer, facts: NestedFacts): ByteStream {
  if (isArray(head, facts.length)) return streamed(elements(facts));
  if (isRecord(head, facts.length)) return streamed(fields(facts));
  return isMultirange(head, facts.length) ? cannot() : (facts.other ?? cannot());
}

function streamed(steps: Steps): ByteStream {
  const pull = new Pull(steps);
  return {
    push: (chunk) => pull.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)),
    end: () => (pull.finished ? NOTHING : cannot()),
  };
}

function isArray(head: Buffer, length: number): boolean {
  const [dimensions, flags, size] = [head.readUInt32BE(0), head.readUInt32BE(4), head.readUInt32BE(12)];
  return dimensions >= 1 && dimensions <= DIMENSIONS_MAX && flags <= 1 && size <= length / 4;
}

/** A count, then of each field its type, its length, its bytes. */
function isRecord(head: Buffer, length: number): boolean {
  const [count, typeOid, first] = [head.readUInt32BE(0), head.readUInt32BE(4), head.readInt32BE(8)];
  return count >= 1 && count <= FIELDS_MAX && typeOid > 1 && first >= NULL_LENGTH && first <= length;
}

/** A count, then of each range its length, its flags, and the length of a bound (range-binary.ts). */
function isMultirange(head: Buffer, length: number): boolean {
  const [count, first, bound] = [head.readUInt32BE(0), head.readUInt32BE(4), head.readUInt32BE(9)];
  const flags = head[8] ?? 0;
  return count >= 1 && count <= length / 5 && first <= length && flags <= 0x7f && bound < first;
}

function* elements({ length, cellOf }: NestedFacts): Steps {
  const head = yield 12;
  const dimensions = head.readUInt32BE(0);
  const sizes = yield 8 * dimensions;
  let count = 1;
  for (let index = 0; index < dimensions; index += 1) count *= sizes.readUInt32BE(8 * index);
  const batches = new Batches(count, length - 12 - 8 * dimensions, cellOf(head.readUInt32BE(8)));
  for (let held = batches.next(); held > 0; held = batches.next()) {
    yield { held, mask: (bytes) => batches.mask(bytes) };
    const open = batches.open();
    if (open !== null) yield open;
  }
}

/** Elements, as many at once as there is room for: one by one they would cost several times as much. */
class Batches {
  readonly #cell: Cell | null;
  #count: number;
  /** Bytes that have not been asked for. */
  #left: number;
  /** The beginning of an element. */
  #tail: Buffer = NOTHING;
  /** One that is too long to be held, behind its beginning. */
  #open: Extract<Step, { through: unknown }> | null = null;

  constructor(count: number, bytes: number, cell: Cell | null) {
    this.#count = count;
    this.#left = bytes;
    this.#cell = cell;
  }

  /** How many bytes are wanted; 0: that was all. */
  next(): number {
    const next = Math.min(this.#left, BATCH_BYTES);
    this.#left -= next;
    if (next === 0 && (this.#count !== 0 || this.#tail.length > 0)) cannot();
    return next;
  }

  open(): Step | null {
    const open = this.#open;
    this.#open = null;
    return open;
  }

  /** @returns what is whole of it, masked */
  mask(bytes: Buffer): Uint8Array {
    const all = this.#tail.length === 0 ? bytes : Buffer.concat([this.#tail, bytes]);
    let out: Buffer | null = null;
    let at = 0;
    for (; at + 4 <= all.length; this.#count -= 1) {
      if (this.#count === 0) cannot();
      const size = sizeOf(all.readInt32BE(at), all.length - at - 4 + this.#left);
      const start = at + 4;
      if (start + size > all.length) {
        if (size > VALUE_HELD_MAX_BYTES) return this.#begin(out ?? all, all.subarray(start), size);
        break;
      }
      const value = all.subarray(start, start + size);
      const masked = size === 0 || this.#cell === null ? value : (this.#cell.sameLength(value) ?? cannot());
      if (masked !== value) {
        out ??= Buffer.from(all);
        out.set(masked, start);
      }
      at = start + size;
    }
    this.#tail = all.subarray(at);
    return (out ?? all).subarray(0, at);
  }

  /** Of the last element in it only the beginning is there. */
  #begin(out: Buffer, beginning: Buffer, size: number): Uint8Array {
    const stream = this.#cell === null ? PASS : (this.#cell.stream(size) ?? cannot());
    const length = size - beginning.length;
    this.#left -= length;
    this.#open = { through: stream, length };
    this.#tail = NOTHING;
    this.#count -= 1;
    return Buffer.concat([out.subarray(0, out.length - beginning.length), stream.push(beginning)]);
  }
}

function* fields({ length, cellOf }: NestedFacts): Steps {
  const count = (yield 4).readUInt32BE(0);
  let left = length - 4;
  for (let index = 0; index < count; index += 1) {
    const head = yield 8;
    const size = sizeOf(head.readInt32BE(4), left - 8);
    left -= 8 + size;
    if (size > 0) yield* field(cellOf(head.readUInt32BE(0)), size);
  }
  if (left !== 0) cannot();
}

/** Of NULL it is nothing. */
function sizeOf(said: number, left: number): number {
  if (said < NULL_LENGTH || said > left) cannot();
  return Math.max(0, said);
}

function cannot(): never {
  throw new RangeError('a nested value that cannot be masked as it passes');
}
