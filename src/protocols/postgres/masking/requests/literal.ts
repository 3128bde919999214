/**
 * String constants of SQL in all their forms (PostgreSQL documentation, "Lexical Structure", 4.1.2): what one says, and how a
 * value is written so that it says the same under either setting of standard_conforming_strings.
 *
 * A byte is a character here (latin1). A plain constant with a backslash is read as with standard_conforming_strings on: others are
 * refused before (../../settings.ts).
 */

/** What a token of the scanner is. `other`: operators, parameters, words. */
export type TokenKind = 'string' | 'bits' | 'number' | 'quoted-name' | 'comment' | 'other';

export function kindOf(token: string): TokenKind {
  if (/^(?:--|\/\*)/.test(token)) return 'comment';
  if (/^(?:[eE]?'|[uU]&'|\$(?!\d))/.test(token)) return 'string';
  if (/^[bBxX]'/.test(token)) return 'bits';
  if (/^(?:"|[uU]&")/.test(token)) return 'quoted-name';
  return /^\.?\d/.test(token) ? 'number' : 'other';
}

/**
 * What a constant or a quoted name says. @param mark of `U&…`, as `UESCAPE` says; null: it is not written as one of these forms
 */
export function said(token: string, mark = '\\'): Buffer | null {
  if (token.startsWith('$')) return dollarQuoted(token);
  const quote = token.endsWith('"') ? '"' : "'";
  const open = token.indexOf(quote);
  const inside = open === -1 ? null : joined(token.slice(open), quote, /^[eE]/.test(token));
  if (inside === null) return null;
  if (/^[eE]/.test(token)) return withEscapes(inside);
  return /^[uU]/.test(token) ? withUnicode(inside, mark) : Buffer.from(inside, 'latin1');
}

/** As a constant. One with a backslash in it is written with escapes. */
export function literal(value: Uint8Array): Buffer {
  const text = Buffer.from(value.buffer, value.byteOffset, value.length).toString('latin1');
  const doubled = text.replaceAll("'", "''");
  const written = text.includes('\\') ? ` E'${doubled.replaceAll('\\', '\\\\')}'` : `'${doubled}'`;
  return Buffer.from(written, 'latin1');
}

function dollarQuoted(token: string): Buffer | null {
  const tag = /^\$[^$]*\$/.exec(token)?.[0] ?? null;
  if (tag === null || token.length < 2 * tag.length || !token.endsWith(tag)) return null;
  return Buffer.from(token.slice(tag.length, -tag.length), 'latin1');
}

/** The parts of a constant that goes on in another line, quotes taken away and doubled ones made one. */
function joined(token: string, quote: string, escapes: boolean): string | null {
  const part = quote === '"' ? NAME : escapes ? ESCAPED : PLAIN;
  let text = '';
  let at = 0;
  for (;;) {
    part.lastIndex = at;
    const inside = part.exec(token)?.[1];
    if (inside === undefined) return null;
    text += inside.replaceAll(quote + quote, quote);
    at = part.lastIndex;
    if (at === token.length) return text;
    BETWEEN.lastIndex = at;
    if (BETWEEN.exec(token) === null) return null;
    at = BETWEEN.lastIndex;
  }
}

const PLAIN = /'((?:[^']|'')*)'/y;
const NAME = /"((?:[^"]|"")*)"/y;
const ESCAPED = /'((?:[^'\\]|''|\\.)*)'/sy;
/** Blanks and comments, with the end of a line among them. */
const BETWEEN = /(?:\s|--[^\r\n]*(?=[\r\n]))+/y;

const CONTROLS: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };

/** `E'…'`. Halves of surrogate pairs come as two escapes, which belong together. */
function withEscapes(text: string): Buffer {
  const bytes = text.replace(
    /((?:\\u[\da-fA-F]{4}|\\U[\da-fA-F]{8})+)|\\(?:x([\da-fA-F]{1,2})|([0-7]{1,3})|(.))/gs,
    (_, unicode?: string, hex?: string, octal?: string, char?: string) => {
      if (unicode !== undefined) return utf8(unicode.match(/[\da-fA-F]{8}|[\da-fA-F]{4}/g) ?? []);
      if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
      if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8) & 0xff);
      return CONTROLS[char ?? ''] ?? char ?? '';
    },
  );
  return Buffer.from(bytes, 'latin1');
}

/** `U&'…'`. */
function withUnicode(text: string, mark: string): Buffer {
  const before = mark.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
  const pattern = new RegExp(
    `((?:${before}[\\da-fA-F]{4}|${before}\\+[\\da-fA-F]{6})+)|${before}(${before})`,
    'g',
  );
  const bytes = text.replace(pattern, (_, unicode?: string, itself?: string) =>
    unicode === undefined
      ? (itself ?? '')
      : utf8(
          (unicode.match(new RegExp(`${before}(?:[\\da-fA-F]{4}|\\+[\\da-fA-F]{6})`, 'g')) ?? []).map(
            (each) => each.slice(1).replace('+', ''),
          ),
        ),
  );
  return Buffer.from(bytes, 'latin1');
}

/** Code points in hexadecimal as the bytes of UTF-8. */
function utf8(codes: readonly string[]): string {
  const units = codes.map((code) => Number.parseInt(code, 16));
  const text = units.map((unit) => (unit > 0x10ffff ? '\ufffd' : String.fromCodePoint(unit))).join('');
  return Buffer.from(text, 'utf8').toString('latin1');
}

/**
 * A numeric constant as the digits it stands for: without `_` and a fraction of nothing, not to the base of 16, 8 or
 * 2, and without exponent where it has few digits.
 */
export function decimal(token: string): string {
  const plain = token.replaceAll('_', '');
  if (/^0[xob]/i.test(plain)) {
    try {
      return String(BigInt(plain.toLowerCase()));
    } catch {
      return plain;
    }
  }
  if (/^\d+\.0*$/.test(plain)) return plain.slice(0, plain.indexOf('.'));
  const parts = /^(\d*)\.?(\d*)[eE]([+-]?\d{1,2})$/.exec(plain);
  if (parts === null) return plain;
  const [, whole = '', fraction = '', exponent = '0'] = parts;
  const shift = Number(exponent);
  if (shift < 0) return plain;
  const digits = whole + fraction.padEnd(shift, '0');
  const point = whole.length + shift;
  return point >= digits.length ? digits : `${digits.slice(0, point)}.${digits.slice(point)}`;
}
