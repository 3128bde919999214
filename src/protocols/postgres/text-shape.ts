/**
 * What texts have in common that differ in whole numbers alone: programs that write values into their statements
 * (`… WHERE id = 4711`) never send the same text twice, and reading each costs twice what all else does.
 *
 * Rules: a number is what PostgreSQL's lexer takes for an integer constant (`ICONST` of scan.l), and texts in which that takes
 * more than to look at words have no shape: those with a comment, a dollar, a backslash, a byte beyond ASCII, or a number in any
 * other way of writing (`0x10`, `1_000`, ten digits or more). Which numbers of a text are equal is part of its shape, as
 * conditions are compared (`a = a + 0`). What stands between quotes is kept as it is.
 */

/** Beyond what texts are made of, so that no shape is a text. */
const MARK = '\u0100';
/** In lists of more the numbers are what the text is about. */
const NUMBERS_MAX = 256;
/** Nine digits are always below 2^31, and so always of one type. */
const DIGITS_MAX = 9;
/** Of longer ones nothing is remembered (text-cache.ts). */
const TEXT_MAX_BYTES = 2_048;
/** A number of one digit becomes two bytes. */
const made = Buffer.allocUnsafeSlow(2 * TEXT_MAX_BYTES);

/** Null: the text has no whole number, or none could be told for certain. */
export function shapeOf(text: Buffer): string | null {
  if (text.length > TEXT_MAX_BYTES) return null;
  const numbers = new Numbers();
  let length = 0;
  let quote = 0;
  for (let at = 0; at < text.length; ) {
    const byte = text[at] ?? 0;
    if (byte >= 0x80 || byte === DOLLAR || byte === BACKSLASH) return null;
    let end = at + 1;
    if (quote !== 0) {
      // A doubled quote ends and begins at once.
      if (byte === quote) quote = 0;
    } else if (byte === APOSTROPHE || byte === QUOTE) {
      quote = byte;
    } else if (isOfWord(byte)) {
      while (end < text.length && isOfWord(text[end] ?? 0)) end += 1;
      if (isDigit(byte) || (byte === POINT && isDigit(text[at + 1] ?? 0))) {
        const value = wholeNumber(text, at, end);
        if (value >= 0) {
          const index = numbers.indexOf(value);
          if (index === NUMBERS_MAX) return null;
          // Bytes that are in no text that has a shape.
          made[length] = 0x80 | (index >> 4);
          made[length + 1] = 0x80 | (index & 0x0f);
          length += 2;
          at = end;
          continue;
        }
        if (!isDecimal(text, at, end)) return null;
      } else if (end - at === 5 && isFloat(text, at)) return null;
    } else {
      const next = text[end];
      if ((byte === MINUS && next === MINUS) || (byte === SLASH && next === STAR)) return null;
    }
    for (; at < end; at += 1, length += 1) made[length] = text[at] ?? 0;
  }
  return numbers.count === 0 || quote !== 0 ? null : MARK + made.toString('latin1', 0, length);
}

/** In the order in which they come; most texts have one. */
class Numbers {
  count = 0;
  #first = 0;
  #others: Map<number, number> | null = null;

  /** NUMBERS_MAX: there are too many. */
  indexOf(value: number): number {
    if (this.count === 0) {
      this.#first = value;
      this.count = 1;
    }
    if (value === this.#first) return 0;
    this.#others ??= new Map();
    const known = this.#others.get(value);
    if (known !== undefined) return known;
    if (this.count === NUMBERS_MAX) return NUMBERS_MAX;
    this.#others.set(value, this.count);
    this.count += 1;
    return this.count - 1;
  }
}

const QUOTE = 0x22;
const DOLLAR = 0x24;
const APOSTROPHE = 0x27;
const STAR = 0x2a;
const MINUS = 0x2d;
const POINT = 0x2e;
const SLASH = 0x2f;
const BACKSLASH = 0x5c;
const UNDERSCORE = 0x5f;

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** Of names, numbers, and names with points between them. */
function isOfWord(byte: number): boolean {
  const letter = byte | 0x20;
  return isDigit(byte) || (letter >= 0x61 && letter <= 0x7a) || byte === UNDERSCORE || byte === POINT;
}

/** -1: it is none, or one of another type. */
function wholeNumber(text: Buffer, start: number, end: number): number {
  if (end - start > DIGITS_MAX) return -1;
  let value = 0;
  for (let at = start; at < end; at += 1) {
    const byte = text[at] ?? 0;
    if (!isDigit(byte)) return -1;
    value = 10 * value + byte - 0x30;
  }
  return value;
}

/** By the number behind it the grammar makes it one type, another, or an error. */
function isFloat(text: Buffer, at: number): boolean {
  if (((text[at] ?? 0) | 0x20) !== 0x66) return false;
  return text.toString('latin1', at, at + 5).toLowerCase() === 'float';
}

/** Digits with one point: a number, but none of those that are put in the place of others. */
function isDecimal(text: Buffer, start: number, end: number): boolean {
  let points = 0;
  for (let at = start; at < end; at += 1) {
    if (text[at] === POINT) points += 1;
    else if (!isDigit(text[at] ?? 0)) return false;
  }
  return points === 1;
}
