/**
 * Stands in for a masked value where its length cannot change: a row too long to be held has said how long it is before
 * its values are seen. What stands in is a value of the same type, so that no driver breaks at it.
 */
import { mapArray, mapRecord } from './nested-binary.ts';
import { elementOf, familyOf } from './types.ts';

const STAR = 0x2a;
const ZERO = 0x30;
const QUOTE = 0x22;

/** Dates, times and numbers: letters in them are words of the type (`infinity`, `day`, `NaN`, `BC`). */
const WORDS_KEPT: ReadonlySet<number> = new Set([
  20, 21, 23, 26, 700, 701, 790, 1082, 1083, 1114, 1184, 1186, 1266, 1700,
]);
/** Of one size, and all zeros are a value: numbers, dates, times, UUID, MAC addresses. */
const ZEROS: ReadonlySet<number> = new Set([
  16, 20, 21, 23, 26, 27, 28, 29, 600, 601, 603, 628, 700, 701, 718, 774, 790, 829, 1082, 1083, 1114, 1184,
  1186, 1266, 2950, 3220,
]);
const NUMERIC = 1700;
const ADDRESSES: ReadonlySet<number> = new Set([650, 869]);
const BITS: ReadonlySet<number> = new Set([1560, 1562]);

/** Null: nothing is known that could stand there. */
export function standIn(typeOid: number, format: number, bytes: Buffer): Buffer | null {
  return format === 0 ? textStandIn(typeOid, bytes) : binaryStandIn(typeOid, bytes);
}

function textStandIn(typeOid: number, bytes: Buffer): Buffer {
  switch (familyOf(typeOid)) {
    case 'json':
    case 'jsonb':
      return jsonOf(bytes.length);
    case 'bytea':
      return byteaOf(bytes);
    case 'typed':
      return typedText(typeOid, bytes);
    case 'array':
    case 'record':
    case 'unknown':
      return starredInside(typeOid, bytes);
    case 'text':
      return Buffer.alloc(bytes.length, STAR);
  }
}

/** A JSON text of that length. */
export function jsonOf(length: number): Buffer {
  const json = Buffer.alloc(length, length < 2 ? ZERO : STAR);
  if (length >= 2) {
    json[0] = QUOTE;
    json[length - 1] = QUOTE;
  }
  return json;
}

function byteaOf(bytes: Buffer): Buffer {
  const hex = bytes.toString('latin1', 0, 2) === '\\x';
  return Buffer.from(hex ? `\\x${'2a'.repeat((bytes.length - 2) / 2)}` : '*'.repeat(bytes.length), 'latin1');
}

/** Ones are digits of every number, date, time, address and bit string. */
function typedText(typeOid: number, bytes: Buffer): Buffer {
  const text = bytes.toString('latin1').replace(/\d/g, '1');
  const without = WORDS_KEPT.has(typeOid)
    ? text
    : text.replace(/[a-f]/g, '1').replace(/[A-Zg-z\x80-\xff]/g, 'x');
  return Buffer.from(without, 'latin1');
}

/**
 * What separates and quotes stays, and NULL. Of types that are no text a digit becomes another digit, so that what is a
 * number, a date or a UUID stays one.
 */
export function starredInside(typeOid: number, bytes: Buffer): Buffer {
  const text = bytes.toString('latin1');
  const isTyped = familyOf(elementOf(typeOid)) === 'typed';
  const starred = isTyped
    ? text.replace(/\d/g, '1').replace(/[A-KMO-TV-Za-z]/g, 'a')
    : text.replace(/[^{}()[\],;"\\]/g, '*');
  return Buffer.from(starred, 'latin1');
}

function binaryStandIn(typeOid: number, bytes: Buffer): Buffer | null {
  switch (familyOf(typeOid)) {
    case 'text':
    case 'bytea':
      return Buffer.alloc(bytes.length, STAR);
    case 'json':
      return jsonOf(bytes.length);
    case 'jsonb':
      return Buffer.concat([bytes.subarray(0, 1), jsonOf(Math.max(0, bytes.length - 1))]);
    case 'typed':
      return typedBinary(typeOid, bytes);
    case 'array':
    case 'record':
      return nested(bytes);
    case 'unknown':
      return nested(bytes) ?? (isText(bytes) ? Buffer.alloc(bytes.length, STAR) : null);
  }
}

function typedBinary(typeOid: number, bytes: Buffer): Buffer | null {
  const zeros = Buffer.alloc(bytes.length);
  if (ZEROS.has(typeOid)) return zeros;
  // Its head says how many digits, of which all are zeros then.
  if (typeOid === NUMERIC && bytes.length >= 8) bytes.copy(zeros, 0, 0, 2);
  else if ((ADDRESSES.has(typeOid) || BITS.has(typeOid)) && bytes.length >= 4) bytes.copy(zeros, 0, 0, 4);
  else return null;
  return zeros;
}

function nested(bytes: Buffer): Buffer | null {
  let failed = false;
  const mask = (typeOid: number, element: Buffer): Buffer | undefined => {
    const masked = binaryStandIn(typeOid, element);
    failed ||= masked === null;
    return masked ?? undefined;
  };
  const mapped = mapArray(bytes, mask) ?? mapRecord(bytes, mask);
  if (failed || mapped === undefined) return null;
  return mapped ?? bytes;
}

/** As enums and citext are in binary. */
export function isText(bytes: Buffer): boolean {
  for (const byte of bytes) if (byte < 0x20 && byte !== 0x0a && byte !== 0x09 && byte !== 0x0d) return false;
  return true;
}
