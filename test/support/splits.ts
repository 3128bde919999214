/**
 * Bytes cut and broken in all the ways a reader must bear. Random, but from a fixed seed: a failure repeats.
 */

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Chunks are copies: a reader that keeps a chunk instead of copying it is caught by `wipe`. */
export interface Split {
  readonly name: string;
  readonly chunks: readonly Buffer[];
}

/** The bytes whole, byte by byte, and cut at random places `count` times. */
export function splitsOf(bytes: Uint8Array, count = 20, seed = 1): Split[] {
  const random = seededRandom(seed);
  const byByte = Array.from(bytes, (byte) => Buffer.from([byte]));
  const atRandom = Array.from({ length: count }, (_, index) => ({
    name: `random split ${index}`,
    chunks: cutAtRandom(bytes, random),
  }));
  return [
    { name: 'whole', chunks: [Buffer.from(bytes)] },
    { name: 'byte by byte', chunks: byByte },
    ...atRandom,
  ];
}

function cutAtRandom(bytes: Uint8Array, random: () => number): Buffer[] {
  const chunks: Buffer[] = [];
  const longest = 1 + Math.floor(random() * bytes.length);
  for (let at = 0; at < bytes.length; ) {
    const length = 1 + Math.floor(random() * longest);
    chunks.push(Buffer.from(bytes.subarray(at, at + length)));
    at += length;
  }
  return chunks;
}

/** Overwrites a chunk that was pushed, as a socket that reuses its memory would. */
export function wipe(chunk: Buffer): void {
  chunk.fill(0xff);
}

/** A copy with one to four things wrong: bits flipped, bytes overwritten, removed, repeated, the end cut off. */
export function mutate(bytes: Uint8Array, random: () => number): Buffer {
  let result = Buffer.from(bytes);
  const times = 1 + Math.floor(random() * 4);
  for (let time = 0; time < times; time += 1) {
    const at = Math.floor(random() * (result.length + 1));
    const to = Math.min(result.length, at + Math.floor(random() * 8));
    const before = result.subarray(0, at);
    const after = result.subarray(at);
    switch (Math.floor(random() * 6)) {
      case 0:
        if (at < result.length) result.writeUInt8((result[at] ?? 0) ^ (1 << Math.floor(random() * 8)), at);
        break;
      case 1:
        if (at < result.length) result.writeUInt8(Math.floor(random() * 256), at);
        break;
      case 2:
        result = Buffer.concat([before, result.subarray(to)]);
        break;
      case 3:
        result = Buffer.concat([before, result.subarray(at, to), after]);
        break;
      case 4:
        result = Buffer.concat([before, Buffer.from([Math.floor(random() * 256)]), after]);
        break;
      default:
        result = Buffer.from(before);
    }
  }
  return result;
}
