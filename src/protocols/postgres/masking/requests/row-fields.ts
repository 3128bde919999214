/**
 * Cuts rows of COPY as text or CSV into their fields, and says of each whether it stands there as what it says. The same cuts as those of
 * `readRow` (../copy-fields.ts), on bytes and without a text for each field.
 */
import type { CopyShape } from '../copy-shape.ts';

export interface Fields {
  /** A field whose value is what stands there. @param quotes of them around it: 0 or 1 on either side */
  plain(bytes: Buffer, start: number, end: number, index: number, quotes: number): void;
  /** One that is written otherwise. */
  written(bytes: Buffer, start: number, end: number, index: number): void;
}

const NEW_LINE = 0x0a;
const RETURN = 0x0d;
const BACKSLASH = 0x5c;
const POINT = 0x2e;

/**
 * @param to the end of the last row. @param many rows, which end with LF or CR LF; else it is one, without the end of its line
 * @throws RangeError
 */
export type Cut = (bytes: Buffer, from: number, to: number, many: boolean, fields: Fields) => void;

export function cutterOf({ format, delimiter, quote, escape: before }: CopyShape): Cut {
  const code = delimiter.charCodeAt(0);
  if (format !== 'csv') return (...rows) => cutText(code, ...rows);
  return (...rows) => cutCsv(code, quote.charCodeAt(0), before.charCodeAt(0), ...rows);
}

function cutText(delimiter: number, ...[bytes, from, to, many, fields]: Parameters<Cut>): void {
  let index = 0;
  let start = from;
  let isPlain = true;
  for (let at = from; at <= to; at += 1) {
    const byte = bytes[at] ?? 0;
    if (at === to || byte === NEW_LINE) {
      if (at < to && !many) throw unreadable();
      if (at === to && many) return;
      const end = many ? withoutReturn(bytes, start, at) : at;
      if (index > 0 || !isEndOfData(bytes, start, end)) {
        if (isPlain) fields.plain(bytes, start, end, index, 0);
        else fields.written(bytes, start, end, index);
      }
      index = 0;
      start = at + 1;
      isPlain = true;
    } else if (byte === delimiter) {
      if (isPlain) fields.plain(bytes, start, at, index, 0);
      else fields.written(bytes, start, at, index);
      index += 1;
      start = at + 1;
      isPlain = true;
    } else if (byte === BACKSLASH) {
      isPlain = false;
      // The last is none before anything.
      if (at + 1 < to) at += 1;
    }
  }
}

function cutCsv(
  delimiter: number,
  quote: number,
  before: number,
  ...[bytes, from, to, many, fields]: Parameters<Cut>
): void {
  let index = 0;
  let start = from;
  let inQuotes = false;
  /** Quotes that open or close, and those that are a part of the value. */
  let quotes = 0;
  let escapes = 0;
  for (let at = from; at <= to; at += 1) {
    const byte = bytes[at] ?? 0;
    if (inQuotes) {
      if (at === to) throw unreadable();
      const next = at + 1 < to ? bytes[at + 1] : NEW_LINE;
      if (byte === before && (next === quote || next === before)) {
        escapes += 1;
        at += 1;
      } else if (byte === quote) {
        inQuotes = false;
        quotes += 1;
      }
      continue;
    }
    const isLast = at === to || byte === NEW_LINE;
    if (!isLast && byte === quote) {
      inQuotes = true;
      quotes += 1;
    } else if (isLast || byte === delimiter) {
      if (isLast && at < to && !many) throw unreadable();
      if (at === to && many) return;
      const end = isLast && many ? withoutReturn(bytes, start, at) : at;
      const isAround = quotes === 2 && escapes === 0 && bytes[start] === quote && bytes[end - 1] === quote;
      if (isAround) fields.plain(bytes, start + 1, end - 1, index, 1);
      else if (quotes > 0) fields.written(bytes, start, end, index);
      else if (!isLast || index > 0 || !isEndOfData(bytes, start, end))
        fields.plain(bytes, start, end, index, 0);
      index = isLast ? 0 : index + 1;
      start = at + 1;
      quotes = 0;
      escapes = 0;
    }
  }
}

function withoutReturn(bytes: Buffer, start: number, end: number): number {
  return end > start && bytes[end - 1] === RETURN ? end - 1 : end;
}

/** The end of the data, as programs of before 2003 send it: a row of its own. */
function isEndOfData(bytes: Buffer, start: number, end: number): boolean {
  return end - start === 2 && bytes[start] === BACKSLASH && bytes[start + 1] === POINT;
}

function unreadable(): RangeError {
  return new RangeError('a row of a COPY that cannot be read');
}
