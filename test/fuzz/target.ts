/**
 * What a target of the fuzzer is, and how its inputs are made: well-formed bytes or text, with things done to them that
 * shrink one by one, and the places where a stream is cut.
 */
import fc from 'fast-check';
import type { Outcome } from '#test/support/outcome.ts';

export interface Target {
  readonly name: string;
  /** In a sentence: what is tried, and what must hold. */
  readonly holds: string;
  /** A property that throws when something does not hold. Made anew for each run. */
  readonly property: () => fc.IProperty<unknown> | fc.IAsyncProperty<unknown>;
  /** How often a unit test runs it. */
  readonly rounds: number;
}

/** What is done to bytes; places are taken modulo their length. */
export type Edit =
  | { readonly kind: 'flip'; readonly at: number; readonly bit: number }
  | { readonly kind: 'set'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: 'insert'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: 'remove'; readonly at: number; readonly count: number }
  | { readonly kind: 'repeat'; readonly at: number; readonly count: number }
  | { readonly kind: 'end'; readonly at: number };

const place = fc.nat({ max: 1 << 20 });
/** What lengths and counts break at. */
const number16 = fc
  .constantFrom(0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff)
  .map((value) => Buffer.from([value >> 8, value & 0xff]));
const number32 = fc
  .constantFrom(0, 1, 3, 4, 5, 8, 0xffff, 0x10000, 0x100000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff)
  .map((value) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return bytes;
  });
const few = fc.uint8Array({ minLength: 1, maxLength: 8 });
const bytes = fc.oneof(few, number16, number32);

export const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), at: place, bit: fc.nat({ max: 7 }) }),
  fc.record({ kind: fc.constant('set' as const), at: place, bytes }),
  fc.record({ kind: fc.constant('insert' as const), at: place, bytes }),
  fc.record({ kind: fc.constant('remove' as const), at: place, count: fc.integer({ min: 1, max: 32 }) }),
  fc.record({ kind: fc.constant('repeat' as const), at: place, count: fc.integer({ min: 1, max: 64 }) }),
  fc.record({ kind: fc.constant('end' as const), at: place }),
);

export function edited(original: Uint8Array, edits: readonly Edit[]): Buffer {
  let result = Buffer.from(original);
  for (const change of edits) {
    const at = change.at % (result.length + 1);
    const [before, after] = [result.subarray(0, at), result.subarray(at)];
    switch (change.kind) {
      case 'flip':
        if (at < result.length) result[at] = (result[at] ?? 0) ^ (1 << change.bit);
        break;
      case 'set':
        result = Buffer.concat([before, change.bytes, after.subarray(change.bytes.length)]);
        break;
      case 'insert':
        result = Buffer.concat([before, change.bytes, after]);
        break;
      case 'remove':
        result = Buffer.concat([before, after.subarray(change.count)]);
        break;
      case 'repeat':
        result = Buffer.concat([before, after.subarray(0, change.count), after]);
        break;
      case 'end':
        result = Buffer.from(before);
    }
  }
  return result;
}

/** One of the originals with up to six things done to it. */
export function broken(originals: readonly Uint8Array[]): fc.Arbitrary<Buffer> {
  return fc
    .tuple(fc.nat({ max: originals.length - 1 }), fc.array(edit, { maxLength: 6 }))
    .map(([index, edits]) => edited(originals[index] ?? Buffer.alloc(0), edits));
}

/** Lengths of the pieces a stream is cut into, over and over. */
export const cuts: fc.Arbitrary<readonly number[]> = fc.array(fc.integer({ min: 1, max: 300 }), {
  minLength: 1,
  maxLength: 12,
});

/** Copies: a reader that keeps a piece is caught when it is overwritten. */
export function cut(stream: Uint8Array, lengths: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0, index = 0; at < stream.length; index += 1) {
    const length = lengths[index % lengths.length] ?? 1;
    pieces.push(Buffer.from(stream.subarray(at, at + length)));
    at += length;
  }
  return pieces;
}

/** Longer streams are not cut into single bytes: it would be most of the work. */
const BY_BYTE_MAX = 4_096;

/** What is made of a stream, or an error that this is not the same whole, byte by byte, and cut as is said. */
export function alike<Value>(
  read: (pieces: readonly Buffer[]) => Outcome<Value>,
  stream: Uint8Array,
  lengths: readonly number[],
): Outcome<Value> {
  const whole = read([Buffer.from(stream)]);
  const expected = JSON.stringify(whole);
  const ways = stream.length > BY_BYTE_MAX ? [lengths] : [[1], lengths];
  for (const way of ways) {
    const other = JSON.stringify(read(cut(stream, way)));
    if (other !== expected) throw new Error(`cut by ${way}: ${other}\nwhole: ${expected}`);
  }
  return whole;
}

/** A target for a reader of a stream. */
export function readerTarget<Value>(
  name: string,
  read: (pieces: readonly Buffer[]) => Outcome<Value>,
  originals: readonly Uint8Array[],
  rounds = 300,
): Target {
  return {
    name,
    holds: 'a value or the error of protocols, the same however the bytes are cut',
    property: () =>
      fc.property(broken(originals), cuts, (stream, lengths) => void alike(read, stream, lengths)),
    rounds,
  };
}
