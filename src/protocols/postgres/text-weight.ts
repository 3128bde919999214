/**
 * How much work a text makes for who reads it, before anybody does: by its bytes, in one pass, so that a text of a hundred kilobytes
 * cannot stop a worker for seconds.
 *
 * Rules: it cuts a text as PostgreSQL's lexer does (`scan.l`: quotes, escapes, dollar quotes, nested comments), and where it is not
 * certain it counts too much, never too little: what looks like words inside of what may be a string counts as words.
 */

/**
 * Names and operators count three, constants and marks one. A unit takes 2 to 5 µs in the parser and in all that look at the tree
 * (rules, and masks in both directions), so the costliest text there is (`ORDER BY 1, 1, …`) stops everything else in a worker for
 * a quarter of a second. The first of its kind takes two to three times that, as the code that reads it is not compiled yet.
 */
const WEIGHT_MAX = 45_056;
/**
 * The lexer looks through a row of operators' characters to its end again for each plus and minus in it, and for each comment that
 * begins there: so many characters, of up to 10 ns each.
 */
const RESCANNED_MAX = 4_194_304;
/** Shorter ones are neither. */
const LIGHT_BYTES = 2_048;

const OPERATOR = table('~!@#^&|`?+-*/%<>=');
const BLANK = table(' \t\n\r\f\v');
const WORD = table('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_$');
WORD.fill(1, 0x80);

const APOSTROPHE = 0x27;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const DOLLAR = 0x24;
const STAR = 0x2a;
const SLASH = 0x2f;
const PLUS = 0x2b;
const MINUS = 0x2d;
const POINT = 0x2e;
const TAG = /^\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$/;
/** `quotecontinue`: blanks with a line's end. To libpg_query, whose lexer tells of comments, one of those is something between. */
const GAP = /^[ \t\f\v]*[\n\r][ \t\n\r\f\v]*$/;
/** Names have 63 bytes; a longer tag is counted as what it looks like. */
const TAG_MAX_BYTES = 256;

export function isTooHeavy(text: Buffer): boolean {
  if (text.length <= LIGHT_BYTES) return false;
  const { weight, rescanned } = new Scale(text).weigh();
  return weight > WEIGHT_MAX || rescanned > RESCANNED_MAX;
}

export class Scale {
  weight = 0;
  rescanned = 0;
  readonly #text: Buffer;
  #at = 0;
  /** Comments that are open, one in another. */
  #depth = 0;
  #inLine = false;
  /** Where a string with escapes has ended that was the last thing; -1: it was not. */
  #escapedEnd = -1;

  constructor(text: Buffer) {
    this.#text = text;
  }

  weigh(): this {
    const text = this.#text;
    while (this.#at < text.length) {
      const byte = text[this.#at] ?? 0;
      if (OPERATOR[byte] === 1) this.#operators();
      else if (this.#inLine) {
        if (byte === 0x0a || byte === 0x0d) this.#inLine = false;
        this.#at += 1;
      } else if (this.#depth > 0 || BLANK[byte] === 1) this.#at += 1;
      else this.#thing(byte);
    }
    return this;
  }

  #thing(byte: number): void {
    if (byte === APOSTROPHE) this.#string(this.#goesOn());
    else if (byte === QUOTE) this.#quoted(QUOTE, 3);
    else if (byte === DOLLAR && this.#isTagged()) return;
    else if (byte === DOLLAR || isDigit(byte)) this.#constant(byte);
    else if (WORD[byte] === 1) this.#word(byte);
    else this.#count(1, this.#at + 1);
  }

  #count(weight: number, end: number): void {
    this.weight += weight;
    this.#at = end;
    this.#escapedEnd = -1;
  }

  /** A number, or a parameter. Letters behind its digits count as a word, which they may be. */
  #constant(first: number): void {
    const text = this.#text;
    let end = this.#at + 1;
    while (isDigit(text[end] ?? 0)) end += 1;
    if (first !== DOLLAR && text[end] === POINT) end += 1;
    while (isDigit(text[end] ?? 0)) end += 1;
    this.#count(1, end);
  }

  #word(first: number): void {
    const text = this.#text;
    let end = this.#at + 1;
    while (WORD[text[end] ?? 0] === 1) end += 1;
    const hasEscapes = end - this.#at === 1 && (first | 0x20) === 0x65 && text[end] === APOSTROPHE;
    this.#count(hasEscapes ? 1 : 3, end);
    if (hasEscapes) this.#string(true);
  }

  /** Whether a string is the rest of one with escapes, in another line. */
  #goesOn(): boolean {
    const end = this.#escapedEnd;
    return end >= 0 && GAP.test(this.#text.toString('latin1', end, this.#at));
  }

  #string(hasEscapes: boolean): void {
    if (!hasEscapes) {
      this.#quoted(APOSTROPHE, 1);
      return;
    }
    const text = this.#text;
    let at = this.#at + 1;
    while (at < text.length && text[at] !== APOSTROPHE) at += text[at] === BACKSLASH ? 2 : 1;
    this.#count(1, at + 1);
    this.#escapedEnd = at + 1;
  }

  /** A quote that is doubled ends one and begins the next. */
  #quoted(quote: number, weight: number): void {
    const end = this.#text.indexOf(quote, this.#at + 1);
    this.#count(weight, end < 0 ? this.#text.length : end + 1);
  }

  #isTagged(): boolean {
    const tag = TAG.exec(this.#text.toString('latin1', this.#at, this.#at + TAG_MAX_BYTES))?.[0];
    if (tag === undefined) return false;
    const end = this.#text.indexOf(tag, this.#at + tag.length, 'latin1');
    this.#count(1, end < 0 ? this.#text.length : end + tag.length);
    return true;
  }

  /** Operators, and where comments begin and end. */
  #operators(): void {
    const text = this.#text;
    let end = this.#at + 1;
    while (OPERATOR[text[end] ?? 0] === 1) end += 1;
    let signs = 0;
    let others = 0;
    let begun = 1;
    for (let at = this.#at; at < end && !this.#inLine; ) {
      const [one, two] = [text[at], text[at + 1]];
      const begins = one === SLASH && two === STAR;
      const ends = one === STAR && two === SLASH && this.#depth > 0;
      if (begins) begun += 1;
      if (begins || ends) this.#depth += begins ? 1 : -1;
      else if (this.#depth === 0) {
        if (one === MINUS && two === MINUS) this.#inLine = true;
        else if (one === PLUS || one === MINUS) signs += 1;
        else others += 1;
      }
      at += begins || ends ? 2 : 1;
    }
    // Each sign may be one of its own; of other characters many make one.
    if (signs + others > 0) this.#escapedEnd = -1;
    this.weight += 3 * (signs + (others > 0 ? 1 : 0));
    this.rescanned += (end - this.#at) * (signs + begun);
    this.#at = end;
  }
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function table(characters: string): Uint8Array {
  const flags = new Uint8Array(256);
  for (const byte of Buffer.from(characters, 'latin1')) flags[byte] = 1;
  return flags;
}
