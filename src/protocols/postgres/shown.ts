/**
 * What people are shown of a statement they are asked about: its text, and the values it is to be executed with, as far as they are
 * short. Masked first, where there are masks (masking/requests/shown-masks.ts).
 */
import { isUtf8 } from 'node:buffer';
import { textOfBinary } from './masking/binary-text.ts';
import { mapArray } from './masking/nested-binary.ts';
import { isText } from './masking/same-length.ts';
import { elementOf } from './masking/types.ts';
import { HEADER_BYTES } from './message.ts';

/** Of one value. */
const VALUE_MAX_CHARS = 80;
const HEX_MAX_BYTES = 32;
const ARRAY_MAX_BYTES = 65_536;
const TEXT_TYPES: ReadonlySet<number> = new Set([19, 25, 1042, 1043]);
const BOOL = 16;
/** `int2`, `int4` and `int8`, by their length. */
const INTEGERS: ReadonlyMap<number, number> = new Map([
  [2, 21],
  [4, 23],
  [8, 20],
]);

/**
 * The values of a Bind.
 *
 * @param types as the agent has said them; 0: it has not
 * @throws RangeError when it is none
 */
export function valuesOf(message: Buffer, types: readonly number[]): string[] {
  const portalEnd = endOf(message, HEADER_BYTES);
  const statementEnd = endOf(message, portalEnd + 1);
  let at = statementEnd + 1;
  const next = (): number => {
    at += 2;
    return message.readUInt16BE(at - 2);
  };
  const formats = Array.from({ length: next() }, next);
  const count = next();
  const values: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const length = message.readInt32BE(at);
    at += 4;
    if (length < -1 || at + length > message.length) throw new RangeError('parameters unlike their count');
    const format = formats.length === 1 ? formats[0] : formats[index];
    const value = length === -1 ? null : message.subarray(at, at + length);
    at += Math.max(0, length);
    values.push(value === null ? 'NULL' : shownValue(value, format ?? 0, types[index] ?? 0));
  }
  return values;
}

function shownValue(value: Buffer, format: number, typeOid: number): string {
  if (format === 0) return quoted(value);
  return typedValue(value, typeOid) ?? bytesOf(value, typeOid === 0 ? readingsOf(value) : []);
}

/** By a type that is known; null: it is not. */
function typedValue(value: Buffer, typeOid: number): string | null {
  if (TEXT_TYPES.has(typeOid)) return quoted(value);
  if (typeOid === BOOL && value.length === 1) return value[0] === 0 ? 'false' : 'true';
  return textOfBinary(typeOid, value) ?? (elementOf(typeOid) === 0 ? null : arrayOf(value));
}

function bytesOf(value: Buffer, readings: readonly string[]): string {
  const bytes = value.length > HEX_MAX_BYTES ? `${value.length} bytes` : `\\x${value.toString('hex')}`;
  return readings.length === 0 ? bytes : `${bytes} (${readings.join(', ')})`;
}

/**
 * What it may be where nobody has said of what type it is. It is shown beside the bytes, and as what it was taken for: what the server
 * takes it for is not known here.
 */
function readingsOf(value: Buffer): string[] {
  const array = arrayOf(value);
  if (array !== null) return [`as an array: ${array}`];
  const number = textOfBinary(INTEGERS.get(value.length) ?? 0, value);
  const readings = value.length > 0 && isText(value) && isUtf8(value) ? [`as text: ${quoted(value)}`] : [];
  return number === null ? readings : [...readings, `as a number: ${number}`];
}

/** Its elements, as far as there is room. Their type stands in it. Null: it is none, or has NULLs or more dimensions than one. */
function arrayOf(value: Buffer): string | null {
  let shown = '';
  let count = 0;
  const show = (typeOid: number, element: Buffer): undefined => {
    count += 1;
    if (shown.length > VALUE_MAX_CHARS) return;
    const text = typedValue(element, typeOid) ?? bytesOf(element, []);
    shown += shown === '' ? text : `,${text}`;
  };
  if (value.length > ARRAY_MAX_BYTES || mapArray(value, show) === undefined) return null;
  if (count === 0 || value.readUInt32BE(0) !== 1 || value.readUInt32BE(12) !== count) return null;
  return shown.length > VALUE_MAX_CHARS
    ? `{${shown.slice(0, VALUE_MAX_CHARS)}… (${value.length} bytes)`
    : `{${shown}}`;
}

function quoted(value: Buffer): string {
  // Four bytes at the most to a character.
  const text = value.toString('utf8', 0, 4 * VALUE_MAX_CHARS);
  const isWhole = text.length <= VALUE_MAX_CHARS && value.length <= 4 * VALUE_MAX_CHARS;
  return isWhole ? `'${text}'` : `'${text.slice(0, VALUE_MAX_CHARS)}'… (${value.length} bytes)`;
}

function endOf(message: Buffer, at: number): number {
  const end = message.indexOf(0, at);
  if (end === -1) throw new RangeError('a text without end');
  return end;
}
