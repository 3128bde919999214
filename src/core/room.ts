/**
 * Memory for what is made of bytes as they pass, and is written at once: one slab for all of the process, in place of an allocation
 * for each chunk, whose collection would take a third of what masking does.
 *
 * Rules: pieces are given out one behind the other and are their taker's until `roomIsFree()`, which only one may call who knows that
 * nothing given out since the last such call is in use any more. Where nobody calls it pieces stay good: a slab that is used up is left to
 * those who have pieces of it.
 */

/** What is made of a batch of 64 KiB, and that put together with what stands before it and behind it. */
const SLAB_BYTES = 262_144;
/** A larger piece is memory of its own. */
const PIECE_MAX_BYTES = 131_072;
/** A slab of which more stays in use is left, so that few bytes that nobody takes do not keep many slabs. */
const LEFT_BEHIND_BYTES = 16_384;

let slab = Buffer.alloc(0);
/** What lies before this place is in use. */
let begin = 0;
let end = 0;

/** A piece of so many bytes, whatever they are. */
export function room(bytes: number): Buffer {
  if (bytes > PIECE_MAX_BYTES) return Buffer.allocUnsafeSlow(bytes);
  if (end + bytes > slab.length) {
    slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
    begin = 0;
    end = 0;
  }
  const piece = slab.subarray(end, end + bytes);
  end += bytes;
  return piece;
}

/** The parts one behind the other. */
export function together(parts: readonly Uint8Array[]): Buffer {
  let size = 0;
  for (const part of parts) size += part.length;
  const whole = room(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** What was given out since the last call of either is in use no more. */
export function roomIsFree(): void {
  end = begin;
}

/** What was given out since the last call of either stays in use for a while. */
export function roomIsTaken(): void {
  begin = end;
  if (begin > LEFT_BEHIND_BYTES) {
    slab = slab.subarray(0, 0);
    begin = 0;
    end = 0;
  }
}
