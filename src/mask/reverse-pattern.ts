/**
 * Where a match of a pattern that is known to end somewhere begins: the pattern run backwards, all its ways at once, a bit
 * for each place of it (Glushkov's automaton). No byte is looked at twice, so the work is the length of the longest match
 * times the words of a bit set.
 */
import { type ByteSet, PATTERN_MAX_PLACES, type PatternNode } from '../policy/pattern.ts';
import type { Window } from './detector.ts';

type Bits = Uint32Array;

/** What of a part of a pattern may stand first and last, by place, and whether all of it may be missing. */
interface Ends {
  readonly first: Bits;
  readonly last: Bits;
  readonly empty: boolean;
}

const WORDS = PATTERN_MAX_PLACES / 32;

export class ReversePattern {
  readonly #sets: ByteSet[] = [];
  /** By place: what may stand before it. */
  readonly #before: Bits[] = [];
  readonly #ends: Ends;
  /** By byte: the places it fits. */
  readonly #fits: readonly Bits[];

  constructor(node: PatternNode) {
    this.#ends = this.#build(node);
    this.#fits = Array.from({ length: 256 }, (_, byte) => {
      const bits = new Uint32Array(WORDS);
      for (const [place, set] of this.#sets.entries()) if (set[byte] === true) add(bits, place);
      return bits;
    });
  }

  /** The farthest beginning that `accepts` lets pass, of all matches that end there; null: none. */
  startOf(window: Window, end: number, accepts: (start: number) => boolean): number | null {
    let places: Bits = this.#ends.last;
    let start: number | null = null;
    for (let at = end - 1; ; at -= 1) {
      const byte = window.at(at);
      if (byte < 0) return start;
      const fitting = both(places, this.#fits[byte] ?? EMPTY);
      if (isEmpty(fitting)) return start;
      if (!isEmpty(both(fitting, this.#ends.first)) && accepts(at)) start = at;
      places = this.#allBefore(fitting);
    }
  }

  #allBefore(places: Bits): Bits {
    const result = new Uint32Array(WORDS);
    for (const place of members(places)) join(result, this.#before[place] ?? EMPTY);
    return result;
  }

  #build(node: PatternNode): Ends {
    switch (node.kind) {
      case 'set':
        return this.#place(node.set);
      case 'choice':
        return node.parts
          .map((part) => this.#build(part))
          .reduce((a, b) => ({
            first: either(a.first, b.first),
            last: either(a.last, b.last),
            empty: a.empty || b.empty,
          }));
      case 'sequence':
        return node.parts.reduce<Ends>((ends, part) => this.#follow(ends, this.#build(part)), NOTHING);
      case 'repeat':
        return this.#repeat(node.part, node.min, node.max);
    }
  }

  #place(set: ByteSet): Ends {
    const place = this.#sets.push(set) - 1;
    this.#before.push(new Uint32Array(WORDS));
    const only = new Uint32Array(WORDS);
    add(only, place);
    return { first: only, last: only, empty: false };
  }

  #repeat(part: PatternNode, min: number, max: number): Ends {
    let ends: Ends = NOTHING;
    for (let i = 0; i < max; i += 1) {
      const once = this.#build(part);
      ends = this.#follow(ends, i < min ? once : { ...once, empty: true });
    }
    return ends;
  }

  #follow(a: Ends, b: Ends): Ends {
    for (const place of members(b.first)) join(this.#before[place] ?? EMPTY, a.last);
    return {
      first: a.empty ? either(a.first, b.first) : a.first,
      last: b.empty ? either(a.last, b.last) : b.last,
      empty: a.empty && b.empty,
    };
  }
}

const EMPTY: Bits = new Uint32Array(WORDS);
const NOTHING: Ends = { first: EMPTY, last: EMPTY, empty: true };

function add(bits: Bits, place: number): void {
  bits[place >> 5] = (bits[place >> 5] ?? 0) | (1 << (place & 31));
}

function join(into: Bits, bits: Bits): void {
  for (let i = 0; i < WORDS; i += 1) into[i] = (into[i] ?? 0) | (bits[i] ?? 0);
}

function either(a: Bits, b: Bits): Bits {
  const result = Uint32Array.from(a);
  join(result, b);
  return result;
}

function both(a: Bits, b: Bits): Bits {
  const result = new Uint32Array(WORDS);
  for (let i = 0; i < WORDS; i += 1) result[i] = (a[i] ?? 0) & (b[i] ?? 0);
  return result;
}

function isEmpty(bits: Bits): boolean {
  return bits.every((word) => word === 0);
}

function* members(bits: Bits): Generator<number> {
  for (let i = 0; i < WORDS; i += 1) {
    for (let word = bits[i] ?? 0; word !== 0; word &= word - 1)
      yield i * 32 + (31 - Math.clz32(word & -word));
  }
}
