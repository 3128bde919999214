/**
 * Whether all recipients of a request would agree where its body ends (RFC 9112 §6). Disagreement is how a
 * second request is smuggled past whoever read the first: such a request is refused, never repaired.
 */
import { ProtocolError } from '../../core/protocol-error.ts';
import { isToken, trimWhitespace } from './grammar.ts';

/** 999 TB: any length that fits is exact in a double, and no recipient's parser overflows on it. */
const CONTENT_LENGTH = /^[0-9]{1,15}$/;

/** Lower-case name, value without surrounding whitespace. */
export type Field = readonly [string, string];

/** The values of all fields of that name, in order. */
export function valuesOf(fields: readonly Field[], wanted: string): string[] {
  const values: string[] = [];
  for (const [name, value] of fields) if (name === wanted) values.push(value);
  return values;
}

/** Throws ProtocolError. */
export function checkFraming(fields: readonly Field[], version: '1.0' | '1.1'): void {
  const lengths = valuesOf(fields, 'content-length');
  const codings = valuesOf(fields, 'transfer-encoding');
  // §6.3 lets equal repeated lengths pass; not every server compares them.
  if (lengths.length > 1) throw refused('more than one Content-Length field');
  if (!lengths.every((length) => CONTENT_LENGTH.test(length))) throw refused('an invalid Content-Length');
  if (codings.length === 0) return;
  if (lengths.length > 0) throw refused('both Transfer-Encoding and Content-Length');
  // §6.1: a message of a version without transfer codings that has one is to be taken as faulty.
  if (version === '1.0') throw refused('Transfer-Encoding in an HTTP/1.0 request');
  checkCodings(codings);
}

/**
 * §6.3: chunked must be the last coding of a request, and §6.1 forbids applying it twice. Codings are plain names
 * here: parameters, of which no registered coding has any, could hide a comma in quotes.
 */
function checkCodings(values: readonly string[]): void {
  const codings = values.flatMap((value) => value.split(',').map(trimWhitespace));
  if (!codings.every(isToken)) throw refused('a malformed Transfer-Encoding');
  const firstChunked = codings.findIndex((coding) => coding.toLowerCase() === 'chunked');
  if (firstChunked === -1 || firstChunked !== codings.length - 1) {
    throw refused('a Transfer-Encoding that does not end with chunked, once');
  }
}

function refused(problem: string): ProtocolError {
  return new ProtocolError('http', 'agent', `HTTP request: ${problem}`);
}
