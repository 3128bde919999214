/**
 * What texts have in common that differ in whole numbers alone: programs that write values into their statements
 * (`… WHERE id = 4711`) never send the same text twice, and reading each costs twice what all else does.
 *
 * Rules: a number is what PostgreSQL's lexer takes for an integer constant (`ICONST` of scan.l), and texts in which that takes
 * more than to look at words have no shape: those with a comment, a dollar, a backslash, a byte beyond ASCII, or a number in any
 * other way of writing (`0x10`, `1_000`, ten digits or more). Which numbers of a text are equal is part of its shape, as
 * conditions are compared (`a = a + 0`). What stands between quotes is kept as it is.
 */

/** By the number behind it the grammar makes it one type, another, or an error. */
const FLOAT = 'float';
/** Beyond what texts are made of, so that no shape is a text. */
const FIRST = 0x100;
/** In lists of more the numbers are what the text is about. */
const NUMBERS_MAX = 256;
/** Nine digits are always below 2^31, and so always of one type. */
const DIGITS_MAX = 9;

/** Null: the text has no whole number, or none could be told for certain. */
export function shapeOf(text: Buffer): string | null {
  const numbers = new Map<number, number>();
  let shape = '';
  let kept = 0;
  let quote = 0;
  for (let at = 0; at < text.length; ) {
    const byte = text[at] ?? 0;
    if (byte >= 0x80 || byte === DOLLAR || byte === BACKSLASH) return null;
    if (quote !== 0) {
      // A doubled quote ends and begins at once.
      if (byte === quote) quote = 0;
      at += 1;
    } else if (byte === APOSTROPHE || byte === QUOTE) {
      quote = byte;
      at += 1;
    } else if (isOfWord(byte)) {
      let end = at + 1;
      while (end < text.length && isOfWord(text[end] ?? 0)) end += 1;
      const isNumber = isDigit(byte) || (byte === POINT && isDigit(text[at + 1] ?? 0));
      if (isNumber) {
        if (isWhole(text, at, end)) {
          const value = Number(text.toString('latin1', at, end));
          let index = numbers.get(value);
          if (index === undefined) {
            index = numbers.size;
            if (index === NUMBERS_MAX) return null;
            numbers.set(value, index);
          }
          shape += text.toString('latin1', kept, at) + String.fromCharCode(FIRST + index);
          kept = end;
        } else if (!isDecimal(text, at, end)) return null;
      } else if (end - at === FLOAT.length && text.toString('latin1', at, end).toLowerCase() === FLOAT)
        return null;
      at = end;
    } else {
      const next = text[at + 1];
      if ((byte === MINUS && next === MINUS) || (byte === SLASH && next === STAR)) return null;
      at += 1;
    }
  }
  return numbers.size === 0 || quote !== 0 ? null : shape + text.toString('latin1', kept);
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

function isWhole(text: Buffer, start: number, end: number): boolean {
  if (end - start > DIGITS_MAX) return false;
  for (let at = start; at < end; at += 1) if (!isDigit(text[at] ?? 0)) return false;
  return true;
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
