/**
 * Which protocol an agent's first bytes begin. Only protocols where the client speaks first can be seen here.
 *
 * Rules: the answer for some bytes is the answer for all that follow them; `need-more` is said only while the
 * bytes can still become one of the protocols, and never at DETECT_MAX_BYTES or beyond. It recognises, it does
 * not validate: that is the readers' work, and their refusal can then be told in the protocol's own words.
 */
import { MAX_RECORD_BYTES, MAX_RECORD_VERSION, MIN_RECORD_VERSION, RECORD_HANDSHAKE } from '../tls/record.ts';
import { isTokenByte, MAX_LEADING_EMPTY_LINES, MAX_METHOD_LENGTH } from './http1/grammar.ts';
import {
  CANCEL_CODE,
  GSS_CODE,
  PROTOCOL_MAJOR,
  STARTUP_MAX_BYTES,
  STARTUP_MIN_BYTES,
} from './postgres/codes.ts';

export type Detection = 'need-more' | 'tls' | 'http' | 'postgres' | 'unknown';

/** What one protocol says to the bytes: they are mine, they may become mine, they are not. */
type Guess = 'yes' | 'maybe' | 'no';

const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const EMPTY_LINES_MAX_BYTES = 2 * MAX_LEADING_EMPTY_LINES;

/** How a request target can begin: origin-form, asterisk-form, absolute-form (RFC 9112 §3.2). */
const TARGET_STARTS = ['/', '*', 'http://', 'https://'];
const TARGET_START_MAX_BYTES = Math.max(...TARGET_STARTS.map((start) => start.length));

/** The longest start there is: empty lines, the longest method, a space, the scheme of an absolute target. */
export const DETECT_MAX_BYTES = EMPTY_LINES_MAX_BYTES + MAX_METHOD_LENGTH + 1 + TARGET_START_MAX_BYTES;

/** Recognises the protocol in the first bytes of a stream, however few. Never throws. */
export function detect(bytes: Uint8Array): Detection {
  const http = guessHttp(bytes);
  if (http === 'yes') return 'http';
  const tls = guessTls(bytes);
  if (tls === 'yes') return 'tls';
  const postgres = guessPostgres(bytes);
  if (postgres === 'yes') return 'postgres';
  return [http, tls, postgres].includes('maybe') ? 'need-more' : 'unknown';
}

function allOf(guesses: readonly Guess[]): Guess {
  if (guesses.includes('no')) return 'no';
  return guesses.includes('maybe') ? 'maybe' : 'yes';
}

/**
 * Whether a big-endian number can still lie between `least` and `most`: the bytes not there yet span a range.
 */
function guessNumber(bytes: Uint8Array, offset: number, size: number, least: number, most: number): Guess {
  let low = 0;
  let high = 0;
  for (let index = offset; index < offset + size; index += 1) {
    low = low * 256 + (bytes[index] ?? 0x00);
    high = high * 256 + (bytes[index] ?? 0xff);
  }
  if (high < least || low > most) return 'no';
  return bytes.length >= offset + size ? 'yes' : 'maybe';
}

/**
 * A TLS record with the beginning of a ClientHello (RFC 8446 §5.1, §4). An SSLv2-compatible ClientHello
 * (RFC 5246 appendix E.2) is not TLS here: RFC 8446 appendix D.5 forbids it, and its name cannot be read.
 */
function guessTls(bytes: Uint8Array): Guess {
  return allOf([
    guessNumber(bytes, 0, 1, RECORD_HANDSHAKE, RECORD_HANDSHAKE),
    guessNumber(bytes, 1, 2, MIN_RECORD_VERSION, MAX_RECORD_VERSION),
    guessNumber(bytes, 3, 2, 1, MAX_RECORD_BYTES),
    guessNumber(bytes, 5, 1, 1, 1),
  ]);
}

/**
 * A PostgreSQL start-up packet: its length, then protocol 3 or one of the three request codes that stand where
 * the version does (protocol documentation, "Message Formats").
 *
 * Any minor version, because a client may ask for one the server does not have and is then negotiated down.
 */
function guessPostgres(bytes: Uint8Array): Guess {
  const version = guessNumber(bytes, 4, 4, PROTOCOL_MAJOR * 0x10000, PROTOCOL_MAJOR * 0x10000 + 0xffff);
  const request = guessNumber(bytes, 4, 4, CANCEL_CODE, GSS_CODE);
  return allOf([
    guessNumber(bytes, 0, 4, STARTUP_MIN_BYTES, STARTUP_MAX_BYTES),
    version === 'no' ? request : version,
  ]);
}

/**
 * An HTTP/1 request line (RFC 9112 §3): a method, a space, and the beginning of a target. The target is looked
 * at because other text protocols also begin with a word and a space (`SET key`, `get key`). CONNECT's is not,
 * so that it reaches the reader that refuses it. `PRI` opens HTTP/2 (RFC 9113 §3.4), which is another protocol.
 */
function guessHttp(bytes: Uint8Array): Guess {
  const start = skipEmptyLines(bytes);
  const next = bytes[start];
  if (next === undefined) return 'maybe';
  if (next === CR) return start < EMPTY_LINES_MAX_BYTES && bytes.length === start + 1 ? 'maybe' : 'no';
  let end = start;
  while (end < bytes.length && end <= start + MAX_METHOD_LENGTH && isTokenByte(bytes[end] ?? 0)) end += 1;
  if (end === start || end > start + MAX_METHOD_LENGTH) return 'no';
  if (end === bytes.length) return 'maybe';
  if (bytes[end] !== SPACE) return 'no';
  const method = latin1(bytes.subarray(start, end));
  if (method === 'PRI') return 'no';
  return method === 'CONNECT' ? 'yes' : guessTarget(bytes.subarray(end + 1));
}

function guessTarget(bytes: Uint8Array): Guess {
  const text = latin1(bytes.subarray(0, TARGET_START_MAX_BYTES)).toLowerCase();
  if (TARGET_STARTS.some((start) => text.startsWith(start))) return 'yes';
  return TARGET_STARTS.some((start) => start.startsWith(text)) ? 'maybe' : 'no';
}

/** Where the request line begins, after the empty lines a server is told to overlook (RFC 9112 §2.2). */
function skipEmptyLines(bytes: Uint8Array): number {
  let at = 0;
  while (at < EMPTY_LINES_MAX_BYTES && bytes[at] === CR && bytes[at + 1] === LF) at += 2;
  return at;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
