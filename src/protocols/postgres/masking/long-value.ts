/**
 * Masks a value that is too long to be held, as it passes: what comes out has the length of what went in, and is a value
 * of the column's type as far as that can be told without its end.
 */
import type { MaskStream, ValueMasker } from '../../../mask/masker.ts';
import type { Cell, OnHits } from './cell.ts';
import { LongNested } from './long-nested.ts';
import { boundOf } from './range-binary.ts';
import { starredInside } from './same-length.ts';
import { type Family, familyOf } from './types.ts';

export interface LongFacts {
  readonly typeOid: number;
  readonly format: number;
  readonly masker: ValueMasker;
  readonly onHits: OnHits;
  readonly length: number;
  /** For values in it, in binary; null: values in values, too deep. */
  readonly cellOf: ((typeOid: number) => Cell | null) | null;
}

type ByteStream = Pick<MaskStream, 'push' | 'end'>;

/** Null: a value that may not pass unmasked and cannot be masked. */
export function longValue(facts: LongFacts): ByteStream | null {
  const { typeOid, format, masker, onHits } = facts;
  const family = familyOf(typeOid);
  if (format === 1 && NESTED.has(family)) return nested(facts, family);
  if (masker.whole !== null) return wholly(facts);
  // Numbers in it are not found as they pass.
  if (format === 1 && (boundOf(typeOid) !== 0 || SNAPSHOTS.has(typeOid))) return null;
  const stream = counted(masker.stream(), onHits);
  if (family === 'bytea' && format === 0) return new Hex(stream);
  if (family === 'jsonb' && format === 1) return new After(1, stream);
  return stream;
}

const NESTED: ReadonlySet<Family> = new Set<Family>(['array', 'record', 'unknown']);
/** `txid_snapshot`, `pg_snapshot`. */
const SNAPSHOTS: ReadonlySet<number> = new Set([2970, 5038]);

function nested({ masker, onHits, length, cellOf }: LongFacts, family: Family): ByteStream | null {
  if (cellOf === null) return null;
  const mayBeOther = family === 'unknown' && masker.whole === null;
  return new LongNested({ length, cellOf, other: mayBeOther ? counted(masker.stream(), onHits) : null });
}

/** Tells in the end what was found. */
function counted(stream: MaskStream, onHits: OnHits): ByteStream {
  return {
    push: (chunk) => stream.push(chunk),
    end: () => {
      const rest = stream.end();
      onHits(stream.hits);
      return rest;
    },
  };
}

/** For a column of which no value passes. */
function wholly({ typeOid, format, length }: LongFacts): ByteStream | null {
  const family = familyOf(typeOid);
  switch (family) {
    case 'text':
      return STARS;
    case 'json':
      return new Quoted(length);
    case 'jsonb':
      return format === 0 ? new Quoted(length) : new After(1, new Quoted(length - 1));
    case 'bytea':
      return format === 0 ? new Hex(STARS) : STARS;
    default:
      return format === 0 ? each((part) => starredInside(typeOid, part)) : null;
  }
}

const STAR = 0x2a;
const QUOTE = 0x22;
const NOTHING = Buffer.alloc(0);

const STARS: ByteStream = each((part) => Buffer.alloc(part.length, STAR));

function each(mask: (part: Buffer) => Uint8Array): ByteStream {
  return {
    push: (chunk) => mask(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)),
    end: () => NOTHING,
  };
}

/** A JSON string of stars. */
class Quoted implements ByteStream {
  readonly #length: number;
  #at = 0;

  constructor(length: number) {
    this.#length = length;
  }

  push(chunk: Uint8Array): Uint8Array {
    const out = Buffer.alloc(chunk.length, STAR);
    if (this.#at === 0 && out.length > 0) out[0] = QUOTE;
    this.#at += out.length;
    if (this.#at === this.#length && out.length > 0) out[out.length - 1] = QUOTE;
    return out;
  }

  end(): Uint8Array {
    return NOTHING;
  }
}

/** The first bytes pass as they are. */
class After implements ByteStream {
  #left: number;
  readonly #rest: ByteStream;

  constructor(bytes: number, rest: ByteStream) {
    this.#left = bytes;
    this.#rest = rest;
  }

  push(chunk: Uint8Array): Uint8Array {
    const first = Math.min(this.#left, chunk.length);
    this.#left -= first;
    if (first === 0) return this.#rest.push(chunk);
    return Buffer.concat([chunk.subarray(0, first), this.#rest.push(chunk.subarray(first))]);
  }

  end(): Uint8Array {
    return this.#rest.end();
  }
}

/** What `\x` and hexadecimal digits say is looked at, not the digits. Without `\x` it is text (bytea_output = escape). */
class Hex implements ByteStream {
  readonly #bytes: ByteStream;
  /** `\x`, or what was there of it. */
  #head = '';
  #odd = '';

  constructor(bytes: ByteStream) {
    this.#bytes = bytes;
  }

  /** @throws RangeError when it is no hexadecimal */
  push(chunk: Uint8Array): Uint8Array {
    const part = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString('latin1');
    const head = part.slice(0, Math.max(0, 2 - this.#head.length));
    this.#head += head;
    if (this.#head.length < 2) return NOTHING;
    const isFirst = head !== '';
    if (this.#head !== '\\x') {
      const rest = Buffer.from((isFirst ? this.#head : '') + part.slice(head.length), 'latin1');
      return this.#bytes.push(rest);
    }
    const text = this.#odd + part.slice(head.length);
    const whole = text.length - (text.length % 2);
    this.#odd = text.slice(whole);
    const bytes = Buffer.from(text.slice(0, whole), 'hex');
    if (2 * bytes.length !== whole) throw new RangeError('bytes that are no hexadecimal');
    const masked = Buffer.from(this.#bytes.push(bytes)).toString('hex');
    return Buffer.from((isFirst ? this.#head : '') + masked, 'latin1');
  }

  end(): Uint8Array {
    if (this.#head.length < 2) return Buffer.from(this.#head, 'latin1');
    const rest = Buffer.from(this.#bytes.end());
    return this.#head === '\\x' ? Buffer.from(rest.toString('hex') + this.#odd, 'latin1') : rest;
  }
}
