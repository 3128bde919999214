/**
 * How one column's values are masked: by its type, its format, and what policy says of the column.
 *
 * Rules: what comes out is a value of the column's type, or NULL, never bytes a driver could break at. A value that is
 * not understood (a binary one of a type nobody knows) becomes NULL where something in it must be masked.
 */
import type { MaskHit, MaskStream, ValueMasker } from '../../../mask/masker.ts';
import { hasTextOfBinary, textOfBinary } from './binary-text.ts';
import { maskJson, type TextMask } from './json-text.ts';
import { longValue } from './long-value.ts';
import { mapArray, mapRecord } from './nested-binary.ts';
import { mapArrayText, mapCompositeText } from './nested-text.ts';
import { boundOf, boundsIn } from './range-binary.ts';
import { isRangeText } from './range-text.ts';
import { decimal } from './requests/literal.ts';
import { isText, standIn } from './same-length.ts';
import { BOOL, elementOf, type Family, familyOf, isPlainBinary } from './types.ts';

/** Undefined: as it is; null: NULL. */
export type Masked = Uint8Array | null | undefined;

export type OnHits = (hits: readonly MaskHit[]) => void;

export interface Cell {
  readonly masker: ValueMasker;
  /**
   * Where the masker finds nothing in the bytes of a value, nothing is in it: so many values can be asked about at once.
   * Undefined: not so. `text`: and what it makes of them may stand in their place. `parts`: only without quotes and escapes.
   */
  readonly searchedAs: 'text' | 'whole' | 'parts' | undefined;
  /** A whole value. */
  whole(bytes: Buffer): Masked;
  /** A whole value of a message whose length is already said. Null: it cannot be masked so. */
  sameLength(bytes: Buffer): Uint8Array | null;
  /** A value too long to be held, in a message whose length is already said. Null as above. */
  stream(length: number): Pick<MaskStream, 'push' | 'end'> | null;
}

export interface CellFacts {
  readonly typeOid: number;
  /** 0: text; 1: binary. */
  readonly format: number;
  /** Null: nothing is to be done with the column's values. */
  readonly masker: ValueMasker | null;
  readonly onHits: OnHits;
  /** What looks like a number in a value of unknown type may be a text, and is to become what it becomes as one. */
  readonly numbersAreTexts?: boolean;
}

/** Values in values: an array of composites of arrays, … */
const DEPTH_MAX = 6;

/** Null: its values pass as they are. */
export function cellOf(facts: CellFacts): Cell | null {
  return cellIn(facts, 0);
}

/** @param depth in how many values that are too long to be held */
function cellIn(facts: CellFacts, depth: number): Cell | null {
  const { typeOid, format, masker, onHits, numbersAreTexts = false } = facts;
  const family = familyOf(typeOid);
  if (masker === null || (masker.whole === null && !isLookedAt(family, typeOid, format))) return null;
  const values = new Values(masker, onHits, numbersAreTexts);
  const whole = (bytes: Buffer): Masked =>
    format === 0 ? values.text(family, typeOid, bytes, 0) : values.binary(typeOid, bytes, 0);
  return {
    masker,
    searchedAs: searchedAs(masker, family, format),
    whole,
    sameLength: (bytes) => {
      const masked = whole(bytes);
      if (masked === undefined || masked?.length === bytes.length) return masked ?? bytes;
      // A long text with one thing in it need not go as a whole.
      if (family === 'text' && masker.whole === null) {
        const stream = masker.stream();
        return Buffer.concat([stream.push(bytes), stream.end()]);
      }
      return standIn(typeOid, format, bytes);
    },
    stream: (length) => longValue({ typeOid, format, masker, onHits, length, cellOf: within(facts, depth) }),
  };
}

function within(facts: CellFacts, depth: number): ((typeOid: number) => Cell | null) | null {
  if (depth >= DEPTH_MAX) return null;
  return (typeOid) => cellIn({ ...facts, typeOid, format: 1 }, depth + 1);
}

function searchedAs(masker: ValueMasker, family: Family, format: number): Cell['searchedAs'] {
  if (family === 'text') return 'text';
  if (masker.whole !== null || format !== 0 || family === 'bytea') return undefined;
  return family === 'typed' ? 'whole' : 'parts';
}

function isLookedAt(family: Family, typeOid: number, format: number): boolean {
  if (family !== 'typed') return true;
  if (typeOid === BOOL) return false;
  return format === 0 || hasTextOfBinary(typeOid) || !isPlainBinary(typeOid);
}

class Values {
  readonly #masker: ValueMasker;
  readonly #onHits: OnHits;
  readonly #isWhole: boolean;

  readonly #numbersAreTexts: boolean;

  constructor(masker: ValueMasker, onHits: OnHits, numbersAreTexts: boolean) {
    this.#numbersAreTexts = numbersAreTexts;
    this.#masker = masker;
    this.#onHits = onHits;
    this.#isWhole = masker.whole !== null;
  }

  text(family: Family, typeOid: number, bytes: Buffer, depth: number): Masked {
    switch (family) {
      case 'typed':
        return this.#typed(bytes);
      case 'json':
      case 'jsonb':
        return this.#json(bytes);
      case 'bytea':
        return this.#byteaText(bytes);
      case 'array':
        return this.#arrayText(elementOf(typeOid), bytes, depth);
      case 'record':
        return this.#compositeText(bytes, depth);
      case 'unknown':
        return this.#anyText(bytes, depth);
      case 'text':
        return this.#plain(bytes);
    }
  }

  binary(typeOid: number, bytes: Buffer, depth: number): Masked {
    if (depth > DEPTH_MAX) return null;
    switch (familyOf(typeOid)) {
      case 'text':
      case 'bytea':
        return this.#plain(bytes);
      case 'json':
        return this.#json(bytes);
      case 'jsonb':
        return this.#jsonb(bytes);
      case 'typed':
        return this.#typedBinary(typeOid, bytes, depth);
      case 'array':
      case 'record':
      case 'unknown':
        return this.#nestedBinary(bytes, depth);
    }
  }

  /** A text of which any other text may stand in its place. */
  #plain(bytes: Uint8Array): Masked {
    const hit = this.#ask(bytes);
    return hit === null ? undefined : hit.bytes;
  }

  /** Null: nothing is changed. */
  #ask: TextMask = (bytes) => {
    const masked = this.#masker.value(bytes);
    if (masked === null) return null;
    this.#onHits(masked.hits);
    return masked.bytes === bytes ? null : masked;
  };

  /** Nothing is in it, whatever it is: without quotes and escapes its parts stand there as they are. */
  #isClean(bytes: Buffer): boolean {
    if (this.#isWhole || bytes.includes(BACKSLASH) || bytes.includes(QUOTE)) return false;
    return this.#ask(bytes) === null;
  }

  #typed(bytes: Uint8Array): Masked {
    const isHit = this.#ask(bytes) !== null || this.#isNumberOf(bytes);
    return this.#isWhole || isHit ? null : undefined;
  }

  /** A number that is written otherwise than by its digits. */
  #isNumberOf(bytes: Uint8Array): boolean {
    const digits = otherDigits(bytes);
    return digits !== null && this.#ask(Buffer.from(digits, 'latin1')) !== null;
  }

  #typedBinary(typeOid: number, bytes: Buffer, depth: number): Masked {
    const text = textOfBinary(typeOid, bytes);
    if (text !== null) return this.#typed(Buffer.from(text, 'latin1'));
    if (this.#isWhole || isPlainBinary(typeOid)) return this.#typed(bytes);
    const boundOid = boundOf(typeOid);
    const bounds = boundOid === 0 ? null : boundsIn(bytes);
    if (bounds === null) return this.#nestedBinary(bytes, depth) === undefined ? undefined : null;
    return bounds.some((bound) => this.binary(boundOid, bound, depth + 1) !== undefined) ? null : undefined;
  }

  #json(bytes: Buffer): Masked {
    if (this.#isWhole) {
      const masked = this.#plain(bytes);
      return masked ? Buffer.from(JSON.stringify(Buffer.from(masked).toString('utf8'))) : masked;
    }
    // What is written with escapes is found only as what it says.
    if (!bytes.includes(BACKSLASH) && this.#ask(bytes) === null) return undefined;
    const masked = maskJson(bytes, this.#ask);
    if (isJson(bytes)) return masked ?? undefined;
    // What is no JSON after all has other parts than those that were masked.
    return this.#ask(masked ?? bytes) === null ? (masked ?? undefined) : null;
  }

  /** A byte for the version before it, 1 so far. */
  #jsonb(bytes: Buffer): Masked {
    if (bytes[0] !== 1) return this.#isWhole || this.#ask(bytes) !== null ? null : undefined;
    const masked = this.#json(bytes.subarray(1));
    return masked === null || masked === undefined ? masked : Buffer.concat([bytes.subarray(0, 1), masked]);
  }

  /**
   * `\x` and two hexadecimal digits a byte; or as it is, with escapes (bytea_output = escape). Servers write no blanks among the digits
   * and take them (hex_decode_safe in utils/adt/encode.c), so they are looked at as they stand, too.
   */
  #byteaText(bytes: Buffer): Masked {
    const text = bytes.toString('latin1');
    const isHex = BYTEA.test(text);
    if (!isHex && (this.#isWhole || !OCTAL.test(text))) return this.#plain(bytes);
    const digits = text.slice(2).replaceAll(BLANKS, '');
    if (isHex && 2 + digits.length < text.length) {
      const plain = this.#plain(bytes);
      if (plain !== undefined) return plain;
    }
    const said = isHex ? Buffer.from(digits, 'hex') : withoutEscapes(bytes);
    const masked = this.#plain(said);
    if (masked === null || masked === undefined) return masked;
    return isHex ? Buffer.from(`\\x${Buffer.from(masked).toString('hex')}`, 'latin1') : withEscapes(masked);
  }

  #arrayText(elementOid: number, bytes: Buffer, depth: number): Masked {
    if (this.#isClean(bytes)) return undefined;
    const family = familyOf(elementOid);
    const masked = mapArrayText(bytes, (element) =>
      depth >= DEPTH_MAX ? null : this.text(family, elementOid, element, depth + 1),
    );
    return masked === undefined ? this.#typed(bytes) : (masked ?? undefined);
  }

  #compositeText(bytes: Buffer, depth: number): Masked {
    if (this.#isClean(bytes)) return undefined;
    const masked = mapCompositeText(bytes, (field) =>
      depth >= DEPTH_MAX ? null : this.#anyText(field, depth + 1),
    );
    return masked === undefined ? this.#typed(bytes) : (masked ?? undefined);
  }

  /** It may be anything without being called so: an array, a composite, JSON, bytea, a number. */
  #anyText(bytes: Buffer, depth: number): Masked {
    if (this.#isClean(bytes)) return this.#isNumberOf(bytes) ? null : undefined;
    const first = bytes[0];
    if (depth >= DEPTH_MAX) return this.#plain(bytes);
    if (first === BACKSLASH && BYTEA.test(bytes.toString('latin1'))) return this.#byteaText(bytes);
    const opens = first === BRACE || first === BRACKET;
    if ((opens || first === PARENTHESIS) && isRangeText(bytes.toString('latin1'))) return this.#range(bytes);
    // No array is JSON as it is written: `{1,2}`, `[0:1]={1,2}`.
    if (opens && isJson(bytes)) return this.#json(bytes);
    const nested = opens ? mapArrayText : first === PARENTHESIS ? mapCompositeText : null;
    const masked = nested?.(bytes, (element) => this.#anyText(element, depth + 1));
    if (masked !== undefined) return masked ?? undefined;
    const plain = this.#plain(bytes);
    if (plain === undefined) return this.#isOtherwise(bytes) ? null : undefined;
    if (plain === null || this.#numbersAreTexts) return plain;
    if (!NUMBER.test(bytes.toString('latin1'))) return plain;
    return NUMBER.test(Buffer.from(plain).toString('latin1')) ? plain : null;
  }

  /** Only if it is a number, or bytea with escapes, something is in it. */
  #isOtherwise(bytes: Buffer): boolean {
    if (this.#isNumberOf(bytes)) return true;
    return OCTAL.test(bytes.toString('latin1')) && this.#ask(withoutEscapes(bytes)) !== null;
  }

  /** With a bound masked it would be another range, or none. */
  #range(bytes: Buffer): Masked {
    const said = Buffer.from(bytes.toString('latin1').replace(/["\\]/g, ''), 'latin1');
    return this.#typed(bytes) === null || this.#typed(said) === null ? null : undefined;
  }

  /** Arrays and composites have a structure that nothing else fits by chance. */
  #nestedBinary(bytes: Buffer, depth: number): Masked {
    const mask = (typeOid: number, element: Buffer): Masked => this.binary(typeOid, element, depth + 1);
    const array = mapArray(bytes, mask);
    if (array !== undefined) return array ?? undefined;
    const record = mapRecord(bytes, mask);
    if (record !== undefined) return record ?? undefined;
    if (isText(bytes)) return this.#plain(bytes);
    if (this.#typed(bytes) === null || this.#typed(withoutLengths(bytes)) === null) return null;
    const parts = boundsIn(bytes) ?? [];
    return [bytes, ...parts].some((part) => this.#mayBeNumber(part)) ? null : undefined;
  }

  /** Of what type it is does not show, as in COPY: what would be sensitive as a number is taken for one. */
  #mayBeNumber(bytes: Buffer): boolean {
    const texts = [textOfBinary(NUMERIC, bytes)];
    if (bytes.length === 4) texts.push(textOfBinary(INT4, bytes));
    // Beyond that it is more likely to be a float.
    if (bytes.length === 8 && (bytes[0] ?? 0) < 0x0e) texts.push(textOfBinary(INT8, bytes));
    return texts.some((text) => text !== null && this.#ask(Buffer.from(text, 'latin1')) !== null);
  }
}

const INT8 = 20;
const INT4 = 23;
const NUMERIC = 1700;
const BACKSLASH = 0x5c;
const QUOTE = 0x22;
const BRACE = 0x7b;
const BRACKET = 0x5b;
const PARENTHESIS = 0x28;

const NUMBER = /^[-+]?\d+(?:\.\d+)?$/;
/** As `bytea` is written with escapes. */
const OCTAL = /\\[0-3][0-7]{2}/;
/** Of numbers, all but digits with a point or a sign: `0x1F`, `1_000`, `1e3`, and what stands with blanks. */
const OTHER_NUMBER = /^[ \t\r\n]*[-+]?(0[xob][\da-f_]+|[\d_]*\.?[\d_]+\.?(?:e[-+]?\d{1,2})?)[ \t\r\n]*$/i;
const OTHER_NUMBER_MAX_BYTES = 64;
const BYTEA = /^\\x[ \t\r\n]*(?:[0-9a-f]{2}[ \t\r\n]*)*$/i;
const BLANKS = /[ \t\r\n]+/g;

/** The digits of a number that is not written by them; null: it is, or is none. */
export function otherDigits(bytes: Uint8Array): string | null {
  if (bytes.length > OTHER_NUMBER_MAX_BYTES) return null;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  if (!NOT_ONLY_DIGITS.test(text)) return null;
  const number = OTHER_NUMBER.exec(text)?.[1];
  if (number === undefined) return null;
  const digits = decimal(number);
  return digits === number ? null : digits;
}

const NOT_ONLY_DIGITS = /\d[._eExXoObB]/;

/** `\\ooo` is a byte, `\\\\` a backslash. */
function withoutEscapes(bytes: Buffer): Buffer {
  const said = bytes
    .toString('latin1')
    .replace(/\\(?:([0-3][0-7]{2})|\\)/g, (_, octal?: string) =>
      octal === undefined ? '\\' : String.fromCharCode(Number.parseInt(octal, 8)),
    );
  return Buffer.from(said, 'latin1');
}

function withEscapes(bytes: Uint8Array): Buffer {
  const written = Buffer.from(bytes)
    .toString('latin1')
    .replace(/[^ -~]|\\/g, (char) =>
      char === '\\' ? '\\\\' : `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`,
    );
  return Buffer.from(written, 'latin1');
}

/** Blanks where the last byte of a length below 2^16 may stand: as a letter or digit it would hide what begins behind it. */
function withoutLengths(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  for (let at = 3; at < copy.length; at += 1)
    if (bytes[at - 3] === 0 && bytes[at - 2] === 0 && (bytes[at - 1] === 0 || bytes[at - 4] !== 0))
      copy[at] = BLANK;
  return copy;
}

const BLANK = 0x0a;

function isJson(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString('utf8'));
    return true;
  } catch {
    return false;
  }
}
