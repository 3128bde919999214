/**
 * Rows of COPY as text and as CSV (PostgreSQL documentation, "COPY", "File Formats"): fields taken out of a row, and a
 * field written so that it is read as what it is.
 *
 * A byte is a character here (latin1): all that separates is ASCII.
 */
import type { CopyShape } from './copy-shape.ts';

export interface CopyField {
  readonly start: number;
  readonly end: number;
  /** What it says; null: NULL. */
  readonly value: string | null;
}

export interface CopyRow {
  readonly fields: readonly CopyField[];
  /** Behind the end of its line. */
  readonly end: number;
}

/** The row that begins at `at`; null: it does not end in this text. */
export function readRow(text: string, at: number, shape: CopyShape): CopyRow | null {
  return shape.format === 'csv' ? readCsv(text, at, shape) : readText(text, at, shape);
}

/**
 * Rows in which nothing is quoted or escaped, with the ends of lines between fields: as detectors look at what stands beside a
 * thing, `5` or `.` as a delimiter would hide it.
 */
export function apart(rows: Buffer, { delimiter }: CopyShape): Buffer {
  if (delimiter === '\t') return rows;
  const copy = Buffer.from(rows);
  const byte = delimiter.charCodeAt(0);
  for (let at = copy.indexOf(byte); at !== -1; at = copy.indexOf(byte, at + 1)) copy[at] = NEW_LINE;
  return copy;
}

const NEW_LINE = 0x0a;

export function writeField(value: string | null, shape: CopyShape): string {
  if (value === null) return shape.nullText;
  if (shape.format !== 'csv') {
    const escaped = value.replace(/[\\\b\f\n\r\t\v]/g, (char) => `\\${ESCAPES[char] ?? char}`);
    return shape.delimiter === '\t' ? escaped : escaped.replaceAll(shape.delimiter, `\\${shape.delimiter}`);
  }
  const { quote, escape: before } = shape;
  const doubled = before === quote ? value : value.replaceAll(before, before + before);
  return quote + doubled.replaceAll(quote, before + quote) + quote;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\b': 'b',
  '\f': 'f',
  '\n': 'n',
  '\r': 'r',
  '\t': 't',
  '\v': 'v',
};
const SAID: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };

function readText(text: string, at: number, shape: CopyShape): CopyRow | null {
  // A line's end within a value is escaped.
  const line = text.indexOf('\n', at);
  if (line === -1) return null;
  const fields: CopyField[] = [];
  let start = at;
  for (let here = at; here <= line; here += 1) {
    const char = text[here];
    if (char === '\\' && here + 1 < line) here += 1;
    else if (here === line || char === shape.delimiter) {
      const written = text.slice(start, here);
      const value = written === shape.nullText ? null : said(written);
      fields.push({ start, end: here, value });
      start = here + 1;
    }
  }
  return { fields, end: line + 1 };
}

function said(written: string): string {
  if (!written.includes('\\')) return written;
  return written.replace(
    /\\(?:x([\da-fA-F]{1,2})|([0-7]{1,3})|(.))/gs,
    (_, hex?: string, octal?: string, char = '') => {
      if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
      if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8) & 0xff);
      return SAID[char] ?? char;
    },
  );
}

function readCsv(text: string, at: number, shape: CopyShape): CopyRow | null {
  const { delimiter, quote, escape: before, nullText, nullIsText } = shape;
  const fields: CopyField[] = [];
  let start = at;
  let value = '';
  let wasQuoted = false;
  let inQuotes = false;
  for (let here = at; here < text.length; here += 1) {
    const char = text.charAt(here);
    if (inQuotes) {
      const next = text.charAt(here + 1);
      if (char === before && (next === quote || next === before)) {
        value += next;
        here += 1;
      } else if (char === quote) inQuotes = false;
      else value += char;
    } else if (char === quote) {
      inQuotes = true;
      wasQuoted = true;
    } else if (char === delimiter || char === '\n') {
      fields.push({
        start,
        end: here,
        value: !wasQuoted && !nullIsText && value === nullText ? null : value,
      });
      if (char === '\n') return { fields, end: here + 1 };
      start = here + 1;
      value = '';
      wasQuoted = false;
    } else value += char;
  }
  return null;
}
