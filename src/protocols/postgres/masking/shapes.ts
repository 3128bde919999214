/**
 * What messages hold that are not looked into: nothing, numbers, or the name of a command with numbers. Anything else in
 * them would pass unread (protocol documentation, "Message Formats").
 */
import { HEADER_BYTES } from '../message.ts';

/** ParseComplete, BindComplete, CloseComplete, NoData, PortalSuspended, EmptyQueryResponse, CopyDone. */
const EMPTY: ReadonlySet<string> = new Set('123nsIc');
/** Name of a command in capitals, and up to two numbers; `SELECT 5`, `INSERT 0 1`. */
const TAG = /^[A-Z][A-Z ]{0,63}(?: \d{1,20}){0,2}\0$/;
const STATUS: ReadonlySet<number> = new Set(Buffer.from('ITE', 'latin1'));

/** Whether the message at [at, end) has the form its type has; true for those that are looked into. */
export function hasItsShape(letter: string, bytes: Buffer, at: number, end: number): boolean {
  const length = end - at - HEADER_BYTES;
  if (EMPTY.has(letter)) return length === 0;
  switch (letter) {
    case 'Z':
      return length === 1 && STATUS.has(bytes[at + HEADER_BYTES] ?? 0);
    case 'C':
      return length <= 128 && TAG.test(bytes.toString('latin1', at + HEADER_BYTES, end));
    case 't':
      return length >= 2 && length === 2 + 4 * bytes.readUInt16BE(at + HEADER_BYTES);
    case 'G':
    case 'H':
      return (
        length >= 3 &&
        length === 3 + 2 * bytes.readUInt16BE(at + HEADER_BYTES + 1) &&
        areFormats(bytes, at, end)
      );
    default:
      return true;
  }
}

/** Format of the whole, count, format of each: 0 or 1. */
function areFormats(bytes: Buffer, at: number, end: number): boolean {
  if ((bytes[at + HEADER_BYTES] ?? 2) > 1) return false;
  for (let here = at + HEADER_BYTES + 3; here < end; here += 2)
    if (bytes.readUInt16BE(here) > 1) return false;
  return true;
}
