/**
 * Masks what a server says in words: ErrorResponse and NoticeResponse (fields with a letter each), NotificationResponse
 * and ParameterStatus.
 *
 * Detectors look into every text. Where the statement may have touched a column that is masked, texts that may quote a
 * value of it are withheld: which column a quoted value is of cannot be told (`Key (a, b)=(1, 2) already exists`,
 * `invalid input syntax for type integer: "…"`).
 */

import { type MaskHit, VALUE_MAX_BYTES, type ValueMasker } from '../../../mask/masker.ts';
import { message as framed, HEADER_BYTES } from '../message.ts';
import { isKnownState } from './sql-states.ts';

/**
 * Fields by which clients go, and how they are written (protocol documentation, "Error and Notice Message Fields"): severity, code,
 * numbers of a character and a line.
 */
const FORMS: Readonly<Record<string, RegExp>> = {
  S: /^[^\d\s]{1,40}\d?$/,
  V: /^[A-Z]{1,10}\d?$/,
  C: /^[0-9A-Z]{5}$/,
  P: /^\d{1,9}$/,
  p: /^\d{1,9}$/,
  L: /^\d{1,9}$/,
};

/** Classes whose message may quote a value: data exceptions, integrity, raised by code, notices and warnings of code. */
const QUOTING = /^(?:00|01|02|22|23|27|38|39|44|P0|XX)/;
const CONSTRAINT = /^(?:23|44)/;
/** Detail, context, and the statement inside of a function: where values stand. */
const DETAILS: ReadonlySet<string> = new Set(['D', 'H', 'W', 'q']);
/** What code may say that raises an error: everything but severity, place, and one of the states there are. */
const OF_CODE: ReadonlySet<string> = new Set(['M', 'D', 'H', 'W', 'q', 's', 't', 'c', 'd', 'n']);
/** What RAISE gives of itself. */
const RAISED = Buffer.from('P0001', 'latin1');

const WITHHELD = Buffer.from('withheld by Sluice: it may quote a masked value', 'latin1');
const NUL = Buffer.alloc(1);
const NOTHING = Buffer.alloc(0);

export type Guard =
  /** Only detectors. */
  | 'none'
  /** There are rules about columns, and this statement did not touch one: details are withheld for constraints. */
  | 'details'
  /** It may have touched one. */
  | 'all'
  /** The same, in code of the database: it may say a value in any field. */
  | 'code';

/** Masks the texts of messages. */
export class NoticeMasker {
  readonly #masker: ValueMasker;
  readonly #onHits: (hits: readonly MaskHit[]) => void;

  constructor(masker: ValueMasker, onHits: (hits: readonly MaskHit[]) => void) {
    this.#masker = masker;
    this.#onHits = onHits;
  }

  /** An ErrorResponse or NoticeResponse. @returns what is sent instead; null: as it is */
  notice(message: Buffer, guard: Guard): Buffer | null {
    const fields = fieldsOf(message);
    const code = fields.find(({ type }) => type === 'C')?.value.toString('latin1') ?? '';
    let changed = false;
    const parts: Uint8Array[] = [];
    for (const { type, value } of fields) {
      const masked = this.#field(type, value, code, guard);
      changed ||= masked !== value;
      parts.push(Buffer.from(type, 'latin1'), masked, NUL);
    }
    return changed ? framed(message[0] ?? 0, ...parts, NUL) : null;
  }

  #field(type: string, value: Buffer, code: string, guard: Guard): Uint8Array {
    if (isWithheld(type, code, guard)) return WITHHELD;
    if (guard === 'code' && type === 'C' && !isKnownState(code)) return RAISED;
    return FORMS[type]?.test(value.toString('utf8')) === true ? value : this.#text(value);
  }

  /** Process id, channel, payload. */
  notification(message: Buffer): Buffer | null {
    return this.#texts(message, HEADER_BYTES + 4);
  }

  /** Name, value. */
  parameter(message: Buffer): Buffer | null {
    const nameEnd = message.indexOf(0, HEADER_BYTES);
    return SETTINGS.has(message.toString('latin1', HEADER_BYTES, nameEnd))
      ? null
      : this.#texts(message, HEADER_BYTES);
  }

  /** Two texts, of which the first begins at `at`. */
  #texts(message: Buffer, at: number): Buffer | null {
    const firstEnd = message.indexOf(0, at);
    const secondEnd = firstEnd === -1 ? -1 : message.indexOf(0, firstEnd + 1);
    if (secondEnd !== message.length - 1) throw new RangeError('a text without end');
    const [first, second] = [message.subarray(at, firstEnd), message.subarray(firstEnd + 1, secondEnd)];
    const [one, other] = [this.name(first), this.#text(second)];
    if (one === first && other === second) return null;
    return framed(message[0] ?? 0, message.subarray(HEADER_BYTES, at), one, NUL, other, NUL);
  }

  /** What something is called: the same bytes where nothing is found. */
  name(value: Buffer): Uint8Array {
    return this.#text(value);
  }

  #text(value: Buffer): Uint8Array {
    if (value.length > VALUE_MAX_BYTES) {
      const stream = this.#masker.stream();
      const out = Buffer.concat([stream.push(value), stream.end()]);
      this.#onHits(stream.hits);
      return out.equals(value) ? value : withoutNul(out);
    }
    const masked = this.#masker.value(value);
    if (masked === null) return value;
    this.#onHits(masked.hits);
    return masked.bytes === value ? value : withoutNul(masked.bytes ?? NOTHING);
  }
}

function isWithheld(type: string, code: string, guard: Guard): boolean {
  if (guard === 'code') return OF_CODE.has(type);
  const quotes = guard === 'all' && QUOTING.test(code);
  return (
    // What a constraint is named stands in its message, and values in its detail.
    (type === 'M' && quotes && !CONSTRAINT.test(code)) ||
    (DETAILS.has(type) && (quotes || (guard !== 'none' && CONSTRAINT.test(code))))
  );
}

/**
 * Whether the server goes with this ErrorResponse. `V` is the severity in English; servers before 9.6 have only `S`, which may be
 * in another language.
 */
export function endsSession(message: Buffer): boolean {
  const fields = fieldsOf(message);
  const severity = fields.find(({ type }) => type === 'V') ?? fields.find(({ type }) => type === 'S');
  return /^(?:FATAL|PANIC)$/.test(severity?.value.toString('latin1') ?? '');
}

/** A NUL would end the field. */
function withoutNul(bytes: Uint8Array): Uint8Array {
  return bytes.includes(0) ? bytes.filter((byte) => byte !== 0) : bytes;
}

interface Field {
  readonly type: string;
  readonly value: Buffer;
}

/** @throws RangeError */
function fieldsOf(message: Buffer): Field[] {
  const fields: Field[] = [];
  let at = HEADER_BYTES;
  while (message[at] !== 0) {
    const end = message.indexOf(0, at + 1);
    if (at >= message.length || end === -1) throw new RangeError('an error without end');
    fields.push({ type: message.toString('latin1', at, at + 1), value: message.subarray(at + 1, end) });
    at = end + 1;
  }
  if (at !== message.length - 1) throw new RangeError('an error without end');
  return fields;
}

/** Settings that clients go by, none of which holds more than a word of PostgreSQL's own. */
const SETTINGS: ReadonlySet<string> = new Set([
  'server_version',
  'server_encoding',
  'client_encoding',
  'DateStyle',
  'IntervalStyle',
  'integer_datetimes',
  'standard_conforming_strings',
  'in_hot_standby',
  'is_superuser',
  'default_transaction_read_only',
  'scram_iterations',
]);
