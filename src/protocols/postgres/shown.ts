/**
 * What people are shown of a statement they are asked about: its text, and the values it is to be executed with, as far as they are
 * short. Masked first, where there are masks (masking/requests/shown-masks.ts).
 */
import { textOfBinary } from './masking/binary-text.ts';
import { HEADER_BYTES } from './message.ts';

/** Of one value. */
const VALUE_MAX_CHARS = 80;
const HEX_MAX_BYTES = 32;
const TEXT_TYPES: ReadonlySet<number> = new Set([19, 25, 1042, 1043]);

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
  if (format === 0 || TEXT_TYPES.has(typeOid)) return quoted(value);
  const text = textOfBinary(typeOid, value);
  if (text !== null) return text;
  if (typeOid === 16 && value.length === 1) return value[0] === 0 ? 'false' : 'true';
  return value.length > HEX_MAX_BYTES ? `${value.length} bytes` : `\\x${value.toString('hex')}`;
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
