/**
 * The answer an agent gets, in PostgreSQL's words, when Sluice and not its server speaks.
 */

import { message } from './message.ts';

const ERROR_RESPONSE = 0x45; // 'E'

export interface ErrorAnswerOptions {
  /** `FATAL`, the default, ends the session; after `ERROR` it goes on. */
  readonly severity?: 'FATAL' | 'ERROR';
  /** Five characters of PostgreSQL's table of codes; `08…` are connection errors. */
  readonly sqlState: string;
  readonly message: string;
  readonly detail?: string;
  readonly hint?: string;
}

/**
 * Keeps the whole message below 30,000 bytes, beyond which libpq takes an early ErrorResponse for one of protocol 2
 * and shows its bytes.
 */
const FIELD_MAX_BYTES = 4_096;

/** An ErrorResponse (protocol documentation, "Error and Notice Message Fields"). */
export function errorAnswer(options: ErrorAnswerOptions): Buffer {
  const { severity = 'FATAL', sqlState, detail, hint } = options;
  const fields = [
    field('S', severity),
    field('V', severity),
    field('C', sqlState),
    field('M', options.message),
    ...(detail === undefined ? [] : [field('D', detail)]),
    ...(hint === undefined ? [] : [field('H', hint)]),
  ];
  return message(ERROR_RESPONSE, ...fields, Buffer.alloc(1));
}

/** A NUL would end the field, other control characters could draw on a terminal: both become spaces. */
function field(type: string, text: string): Buffer {
  const value = Buffer.from(text.replace(/\p{Cc}+/gu, ' '), 'utf8');
  return Buffer.concat([Buffer.from(type, 'latin1'), cut(value), Buffer.alloc(1)]);
}

/** Cut between two characters, not within one: a byte of UTF-8 that goes on begins with the bits 10. */
function cut(value: Buffer): Buffer {
  if (value.length <= FIELD_MAX_BYTES) return value;
  let end = FIELD_MAX_BYTES;
  while (((value[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return value.subarray(0, end);
}
