/**
 * Where a match of a pattern that is known to end somewhere begins: the pattern run backwards, all its ways at once, a bit
 * for each place of it (Glushkov's automaton). No byte is looked at twice, so the work is the length of the longest match
 * times the places of the pattern.
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

const WORDS_MAX = PATTERN_MAX_PLACES / 32;

export class ReversePattern {
  /** Of 32 places each. */
  readonly #words: number;
  readonly #first: Bits;
  readonly #last: Bits;
  /** By byte: the places it fits. */
  readonly #fits: Bits;
  /** By place: what may stand before it. */
  readonly #before: Bits;
  #places: Bits;
  #next: Bits;

  constructor(node: PatternNode) {
    const { sets, before, ends } = new Places(node);
    const words = Math.ceil(sets.length / 32);
    this.#words = words;
    this.#first = ends.first.slice(0, words);
    this.#last = ends.last.slice(0, words);
    this.#fits = new Uint32Array(256 * words);
    this.#before = new Uint32Array(sets.length * words);
    for (const [place, set] of sets.entries()) {
      this.#before.set((before[place] ?? NONE).subarray(0, words), place * words);
      for (let byte = 0; byte < 256; byte += 1) {
        const at = byte * words + (place >> 5);
        if (set[byte] === true) this.#fits[at] = (this.#fits[at] ?? 0) | (1 << (place & 31));
      }
    }
    this.#places = new Uint32Array(words);
    this.#next = new Uint32Array(words);
  }

  /** The farthest beginning that `accepts` lets pass, of all matches that end there; null: none. */
  startOf(window: Window, end: number, accepts: (start: number) => boolean): number | null {
    this.#places.set(this.#last);
    let start: number | null = null;
    for (let at = end - 1; ; at -= 1) {
      const byte = window.at(at);
      if (byte < 0 || !this.#keepFitting(byte)) return start;
      if (this.#hasFirst() && accepts(at)) start = at;
      this.#stepBack();
    }
  }

  /** Whether any is left. */
  #keepFitting(byte: number): boolean {
    let any = 0;
    for (let word = 0; word < this.#words; word += 1) {
      const left = (this.#places[word] ?? 0) & (this.#fits[byte * this.#words + word] ?? 0);
      this.#places[word] = left;
      any |= left;
    }
    return any !== 0;
  }

  #hasFirst(): boolean {
    for (let word = 0; word < this.#words; word += 1) {
      if (((this.#places[word] ?? 0) & (this.#first[word] ?? 0)) !== 0) return true;
    }
    return false;
  }

  #stepBack(): void {
    const next = this.#next.fill(0);
    for (let word = 0; word < this.#words; word += 1) {
      for (let bits = this.#places[word] ?? 0; bits !== 0; bits &= bits - 1) {
        const place = word * 32 + (31 - Math.clz32(bits & -bits));
        for (let i = 0; i < this.#words; i += 1)
          next[i] = (next[i] ?? 0) | (this.#before[place * this.#words + i] ?? 0);
      }
    }
    this.#next = this.#places;
    this.#places = next;
  }
}

/** The places of a pattern, numbered as they stand in it, and what may follow what. */
class Places {
  readonly sets: ByteSet[] = [];
  readonly before: Bits[] = [];
  readonly ends: Ends;

  constructor(node: PatternNode) {
    this.ends = this.#build(node);
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
    const place = this.sets.push(set) - 1;
    this.before.push(new Uint32Array(WORDS_MAX));
    const only = new Uint32Array(WORDS_MAX);
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
    for (const place of members(b.first)) join(this.before[place] ?? NONE, a.last);
    return {
      first: a.empty ? either(a.first, b.first) : a.first,
      last: b.empty ? either(a.last, b.last) : b.last,
      empty: a.empty && b.empty,
    };
  }
}

const NONE: Bits = new Uint32Array(WORDS_MAX);
const NOTHING: Ends = { first: NONE, last: NONE, empty: true };

function add(bits: Bits, place: number): void {
  bits[place >> 5] = (bits[place >> 5] ?? 0) | (1 << (place & 31));
}

function join(into: Bits, bits: Bits): void {
  for (let i = 0; i < WORDS_MAX; i += 1) into[i] = (into[i] ?? 0) | (bits[i] ?? 0);
}

function either(a: Bits, b: Bits): Bits {
  const result = Uint32Array.from(a);
  join(result, b);
  return result;
}

function* members(bits: Bits): Generator<number> {
  for (let i = 0; i < WORDS_MAX; i += 1) {
    for (let word = bits[i] ?? 0; word !== 0; word &= word - 1)
      yield i * 32 + (31 - Math.clz32(word & -word));
  }
}
