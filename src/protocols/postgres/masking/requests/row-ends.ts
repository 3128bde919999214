/**
 * Where rows of COPY as text or CSV end, however the data is cut. The first end of a line says how all are written: LF, CR LF, or CR, as
 * with the server, which takes any other for a mistake (PostgreSQL source, copyfromparse.c).
 */
import type { CopyShape } from '../copy-shape.ts';

/** No row ends in the bytes. */
export const NO_END = -1;

const NONE = -1;
const NEW_LINE = 0x0a;
const RETURN = 0x0d;
const BACKSLASH = 0x5c;
const LETTER_X = 0x78;

export class RowEnds {
  /** The row has escapes that give a character by its number. */
  hasNumbers = false;
  readonly #quote: number;
  readonly #escape: number;
  readonly #isText: boolean;
  #style: 'lf' | 'crlf' | 'cr' | null = null;
  #isNew = true;
  #afterReturn = false;
  #inQuotes = false;
  #isEscaped = false;

  constructor({ format, quote, escape: before }: CopyShape) {
    this.#isText = format !== 'csv';
    this.#quote = this.#isText ? NONE : quote.charCodeAt(0);
    this.#escape = this.#isText || before === quote ? NONE : before.charCodeAt(0);
  }

  /**
   * Goes on at `at`, where it has stopped. @returns where the row ends, which is `at` where it has ended before: at a carriage return that
   * turns out to stand alone
   */
  next(bytes: Uint8Array, at: number): number {
    if (at >= bytes.length) return NO_END;
    if (this.#isNew) this.hasNumbers = false;
    this.#isNew = false;
    if (this.#afterReturn) return this.#behindReturn(bytes, at);
    return this.#isText ? this.#inText(bytes, at) : this.#inCsv(bytes, at);
  }

  /**
   * Where the last row ends that ends in the bytes, which go on where it has stopped. Null: that is not known at a glance, and each has
   * to be looked for.
   */
  last(bytes: Buffer): number | null {
    if (this.#style === null || this.#style === 'cr' || this.#afterReturn) return null;
    if (!this.#isText && (this.#inQuotes || bytes.includes(this.#quote))) return null;
    let line = bytes.lastIndexOf(NEW_LINE);
    while (line > 0 && this.#isText && this.#isEscapedAt(bytes, line))
      line = bytes.lastIndexOf(NEW_LINE, line - 1);
    if (line === 0 && this.#isEscaped) line = -1;
    const end = line === -1 ? NO_END : this.#ended(line + 1);
    // What it says of the row behind it, as of any.
    if (end !== bytes.length) this.next(bytes, Math.max(0, end));
    return end;
  }

  /** Behind an odd number of backslashes, the one before the bytes included. */
  #isEscapedAt(bytes: Buffer, at: number): boolean {
    let before = at;
    while (before > 0 && bytes[before - 1] === BACKSLASH) before -= 1;
    return ((at - before) & 1) !== (before === 0 && this.#isEscaped ? 1 : 0);
  }

  #behindReturn(bytes: Uint8Array, at: number): number {
    this.#afterReturn = false;
    const isPair = bytes[at] === NEW_LINE;
    this.#style = isPair ? 'crlf' : 'cr';
    return this.#ended(isPair ? at + 1 : at);
  }

  // Both are written out, with what changes in variables of their own: they see each byte.

  #inText(bytes: Uint8Array, from: number): number {
    let isEscaped = this.#isEscaped;
    for (let at = from; at < bytes.length; at += 1) {
      const byte = bytes[at] ?? 0;
      if (isEscaped) {
        isEscaped = false;
        if ((byte >= 0x30 && byte <= 0x37) || byte === LETTER_X) this.hasNumbers = true;
      } else if (byte === BACKSLASH) isEscaped = true;
      else if (byte === NEW_LINE || byte === RETURN) {
        const end = this.#lineEnd(bytes, at);
        if (end !== NO_END || this.#afterReturn) return end;
      }
    }
    this.#isEscaped = isEscaped;
    return NO_END;
  }

  #inCsv(bytes: Uint8Array, from: number): number {
    const quote = this.#quote;
    const before = this.#escape;
    let inQuotes = this.#inQuotes;
    let isEscaped = this.#isEscaped;
    for (let at = from; at < bytes.length; at += 1) {
      const byte = bytes[at] ?? 0;
      if (inQuotes && byte === before) isEscaped = !isEscaped;
      else {
        if (byte === quote && !isEscaped) inQuotes = !inQuotes;
        isEscaped = false;
        if (!inQuotes && (byte === NEW_LINE || byte === RETURN)) {
          const end = this.#lineEnd(bytes, at);
          if (end !== NO_END || this.#afterReturn) {
            this.#inQuotes = false;
            return end;
          }
        }
      }
    }
    this.#inQuotes = inQuotes;
    this.#isEscaped = isEscaped;
    return NO_END;
  }

  /** At an end of a line: that of a row, if that is how they are written. */
  #lineEnd(bytes: Uint8Array, at: number): number {
    if (bytes[at] === NEW_LINE) return this.#style === 'cr' ? NO_END : this.#ended(at + 1);
    if (this.#style === 'cr') return this.#ended(at + 1);
    if (this.#style !== null) return NO_END;
    this.#afterReturn = true;
    return at + 1 < bytes.length ? this.#behindReturn(bytes, at + 1) : NO_END;
  }

  #ended(at: number): number {
    this.#style ??= 'lf';
    this.#isNew = true;
    this.#isEscaped = false;
    return at;
  }
}
