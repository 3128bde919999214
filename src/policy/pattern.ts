/**
 * The patterns of detectors that a policy declares: a subset of regular expressions in which every match has a bounded
 * length, so that looking for one is linear in the text whatever stands in it. What is outside of the subset is refused
 * with the reason; nothing is taken to mean something else.
 *
 * A pattern is about bytes: a character beyond ASCII stands for its bytes in UTF-8, and `.` or a class for one byte.
 */

/** One place of a pattern is one byte of a match; this many also bound the work for each match. */
export const PATTERN_MAX_PLACES = 256;
/** What is shorter would be found everywhere. */
const PATTERN_MIN_BYTES = 3;
const MAX_DEPTH = 16;

/** A bit for each byte there is. */
export type ByteSet = readonly boolean[];

export type PatternNode =
  | { readonly kind: 'set'; readonly set: ByteSet }
  | { readonly kind: 'sequence'; readonly parts: readonly PatternNode[] }
  | { readonly kind: 'choice'; readonly parts: readonly PatternNode[] }
  | { readonly kind: 'repeat'; readonly part: PatternNode; readonly min: number; readonly max: number };

export interface Pattern {
  readonly node: PatternNode;
  /** Bytes of the shortest and the longest match. */
  readonly minBytes: number;
  readonly maxBytes: number;
  /** `\b` at the beginning or end: no letter, digit or underscore may stand before or behind a match. */
  readonly wordStart: boolean;
  readonly wordEnd: boolean;
}

export type PatternResult =
  | { readonly ok: true; readonly pattern: Pattern }
  | { readonly ok: false; readonly message: string; readonly hint: string };

interface Size {
  readonly places: number;
  readonly min: number;
  readonly max: number;
}

class PatternProblem extends Error {
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

export function parsePattern(text: string, caseSensitive: boolean): PatternResult {
  try {
    return { ok: true, pattern: build(text, caseSensitive) };
  } catch (error) {
    if (error instanceof PatternProblem) return { ok: false, message: error.message, hint: error.hint };
    throw error;
  }
}

function build(text: string, caseSensitive: boolean): Pattern {
  const wordStart = text.startsWith('\\b');
  // An escaped backslash before the b is a backslash and the letter.
  const wordEnd = /(?<!\\)(?:\\\\)*\\b$/.test(text) && text.length > 2;
  const inner = text.slice(wordStart ? 2 : 0, wordEnd ? -2 : undefined);
  const node = new Parser(inner, caseSensitive).parse();
  const { places, min, max } = sizeOf(node);
  if (places > PATTERN_MAX_PLACES)
    throw new PatternProblem(
      `is too large: ${places} places, and ${PATTERN_MAX_PLACES} are possible`,
      'each character is a place, as often as it may be repeated',
    );
  if (min < PATTERN_MIN_BYTES)
    throw new PatternProblem(
      `may match ${min} bytes, which would be found everywhere`,
      `the shortest match must have ${PATTERN_MIN_BYTES}`,
    );
  return { node, minBytes: min, maxBytes: max, wordStart, wordEnd };
}

function sizeOf(node: PatternNode): Size {
  if (node.kind === 'set') return { places: 1, min: 1, max: 1 };
  if (node.kind === 'repeat') {
    const { places, min, max } = sizeOf(node.part);
    return { places: places * node.max, min: min * node.min, max: max * node.max };
  }
  const sizes = node.parts.map(sizeOf);
  const sum = (of: (size: Size) => number): number => sizes.reduce((total, size) => total + of(size), 0);
  if (node.kind === 'sequence') {
    return { places: sum(({ places }) => places), min: sum(({ min }) => min), max: sum(({ max }) => max) };
  }
  return {
    places: sum(({ places }) => places),
    min: Math.min(...sizes.map(({ min }) => min)),
    max: Math.max(...sizes.map(({ max }) => max)),
  };
}

class Parser {
  readonly #text: string;
  readonly #caseSensitive: boolean;
  #at = 0;

  constructor(text: string, caseSensitive: boolean) {
    this.#text = text;
    this.#caseSensitive = caseSensitive;
  }

  parse(): PatternNode {
    const node = this.#choice(0);
    if (this.#at < this.#text.length)
      throw new PatternProblem('has a ) without a (', 'for the character itself: \\)');
    return node;
  }

  #choice(depth: number): PatternNode {
    if (depth > MAX_DEPTH) throw new PatternProblem('is nested too deeply', 'use fewer groups');
    const parts = [this.#sequence(depth)];
    while (this.#take('|')) parts.push(this.#sequence(depth));
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : { kind: 'choice', parts };
  }

  #sequence(depth: number): PatternNode {
    const parts: PatternNode[] = [];
    while (this.#at < this.#text.length && !'|)'.includes(this.#peek())) {
      parts.push(this.#repeated(this.#atom(depth)));
    }
    return { kind: 'sequence', parts };
  }

  #repeated(part: PatternNode): PatternNode {
    const bounds = this.#bounds();
    if (bounds === null) return part;
    if ('?*+{'.includes(this.#peek() || ' '))
      throw new PatternProblem('repeats a repetition', 'put the inner one into a group: (…)');
    return { kind: 'repeat', part, ...bounds };
  }

  #bounds(): { min: number; max: number } | null {
    if (this.#take('?')) return { min: 0, max: 1 };
    if (this.#peek() === '*' || this.#peek() === '+')
      throw new PatternProblem(`repeats without a bound (${this.#peek()})`, 'say how often: {1,64}');
    if (!this.#take('{')) return null;
    const [whole, first = '', comma, second = ''] = /^(\d{1,4})(,?)(\d{0,4})\}/.exec(this.#rest()) ?? [];
    if (whole === undefined)
      throw new PatternProblem('has a { that is no repetition', 'for the character itself: \\{');
    this.#at += whole.length;
    if (comma === ',' && second === '')
      throw new PatternProblem(`repeats without a bound ({${first},})`, 'say how often at most: {2,64}');
    const min = Number(first);
    const max = second === '' ? min : Number(second);
    if (max < min || max === 0)
      throw new PatternProblem(
        `repeats ${min} to ${max} times`,
        'from the lower to the higher number, at least once',
      );
    return { min, max };
  }

  #atom(depth: number): PatternNode {
    const char = this.#next();
    switch (char) {
      case '(':
        return this.#group(depth);
      case '[':
        return { kind: 'set', set: this.#class() };
      case '.':
        return { kind: 'set', set: setOf((byte) => byte !== 0x0a) };
      case '\\':
        return { kind: 'set', set: this.#cased(this.#escape()) };
      case '^':
      case '$':
        throw new PatternProblem(
          `has a ${char}`,
          `values are searched as a whole; for the character itself: \\${char}`,
        );
      case '*':
      case '+':
      case '?':
      case '{':
        throw new PatternProblem(`has a ${char} that repeats nothing`, `for the character itself: \\${char}`);
      default:
        return this.#literal(char);
    }
  }

  #group(depth: number): PatternNode {
    if (this.#take('?') && !this.#take(':'))
      throw new PatternProblem(
        'has a group with a ?',
        'groups are (…) or (?:…); nothing can be looked at without being part of a match',
      );
    const node = this.#choice(depth + 1);
    if (!this.#take(')')) throw new PatternProblem('has a ( without a )', 'for the character itself: \\(');
    return node;
  }

  #literal(char: string): PatternNode {
    const bytes = [...Buffer.from(char, 'utf8')];
    const parts = bytes.map(
      (byte): PatternNode => ({ kind: 'set', set: this.#cased(setOf((other) => other === byte)) }),
    );
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : { kind: 'sequence', parts };
  }

  #class(): ByteSet {
    const negated = this.#take('^');
    const members = setOf(() => false) as boolean[];
    let empty = true;
    while (!this.#take(']')) {
      if (this.#at >= this.#text.length)
        throw new PatternProblem('has a [ without a ]', 'for the character itself: \\[');
      this.#member(members);
      empty = false;
    }
    if (empty) throw new PatternProblem('has an empty class []', 'for the characters themselves: \\[\\]');
    const cased = this.#cased(members);
    return negated ? cased.map((is) => !is) : cased;
  }

  #member(members: boolean[]): void {
    const first = this.#classByte();
    if (typeof first !== 'number') {
      for (const [byte, is] of first.entries()) if (is) members[byte] = true;
      return;
    }
    if (this.#peek() !== '-' || this.#text[this.#at + 1] === ']') {
      members[first] = true;
      return;
    }
    this.#at += 1;
    const last = this.#classByte();
    if (typeof last !== 'number' || last < first)
      throw new PatternProblem(
        'has a range in a class that is none',
        'from the lower to the higher character: [a-z]',
      );
    for (let byte = first; byte <= last; byte += 1) members[byte] = true;
  }

  /** One byte, or a whole class such as \d. */
  #classByte(): number | ByteSet {
    const char = this.#next();
    if (char === '') throw new PatternProblem('has a [ without a ]', 'for the character itself: \\[');
    if (char === '[') throw new PatternProblem('has a [ in a class', 'for the character itself: \\[');
    if (char !== '\\') return asciiOf(char);
    const set = this.#escape();
    const only = set.indexOf(true);
    return set.indexOf(true, only + 1) === -1 ? only : set;
  }

  #escape(): ByteSet {
    const char = this.#next();
    const named = CLASSES[char];
    if (named !== undefined) return named;
    if (char === 'x') {
      const [digits] = /^[0-9A-Fa-f]{2}/.exec(this.#rest()) ?? [];
      if (digits === undefined) throw new PatternProblem('has a \\x without two hexadecimal digits', '\\x2F');
      this.#at += 2;
      return setOf((byte) => byte === Number.parseInt(digits, 16));
    }
    if (char === 'b')
      throw new PatternProblem('has a \\b in its middle', '\\b may stand at the beginning and the end');
    if (char === '' || /[A-Za-z0-9]/.test(char))
      throw new PatternProblem(
        `has a \\${char}`,
        'escapes are \\d \\w \\s \\D \\W \\S \\t \\r \\n \\xHH, and \\ before a character that is no letter or digit',
      );
    const byte = asciiOf(char);
    return setOf((other) => other === byte);
  }

  #cased(set: ByteSet): ByteSet {
    if (this.#caseSensitive) return set;
    return set.map((is, byte) => is || set[otherCase(byte)] === true);
  }

  #take(char: string): boolean {
    if (this.#peek() !== char) return false;
    this.#at += 1;
    return true;
  }

  #peek(): string {
    return this.#text[this.#at] ?? '';
  }

  /** A whole character, also one of two UTF-16 units. */
  #next(): string {
    const point = this.#text.codePointAt(this.#at);
    if (point === undefined) return '';
    const char = String.fromCodePoint(point);
    this.#at += char.length;
    return char;
  }

  #rest(): string {
    return this.#text.slice(this.#at);
  }
}

function setOf(has: (byte: number) => boolean): ByteSet {
  return Array.from({ length: 256 }, (_, byte) => has(byte));
}

function asciiOf(char: string): number {
  const code = char.codePointAt(0) ?? 0x80;
  if (code < 0x80) return code;
  throw new PatternProblem('has a character beyond ASCII in a class', 'it is several bytes: use (ä|ö|ü)');
}

/** Of an ASCII letter; any other byte is its own. */
function otherCase(byte: number): number {
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x7a && byte < 0x80 ? byte ^ 0x20 : byte;
}

const oneOf = (pattern: RegExp): ByteSet => setOf((byte) => pattern.test(String.fromCharCode(byte)));

const CLASSES: Readonly<Record<string, ByteSet>> = {
  d: oneOf(/^[0-9]$/),
  D: oneOf(/^[^0-9]$/),
  w: oneOf(/^[A-Za-z0-9_]$/),
  W: oneOf(/^[^A-Za-z0-9_]$/),
  s: oneOf(/^[ \t\r\n\f\v]$/),
  S: oneOf(/^[^ \t\r\n\f\v]$/),
  t: setOf((byte) => byte === 0x09),
  n: setOf((byte) => byte === 0x0a),
  r: setOf((byte) => byte === 0x0d),
};
