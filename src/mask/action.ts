/**
 * What is written where something was found. Three ways: into the same bytes (streams, where the length is settled), in
 * place of a part of a value, and in place of a whole value.
 *
 * `*` stands for each byte that is taken away: it has no meaning in JSON strings, arrays, CSV and the like.
 */
import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';
import { isAlnum } from './detector.ts';
import type { MaskAction } from './masker.ts';

const STAR = 0x2a;
/** A whole value that is redacted does not tell its length. */
const WHOLE_STARS = 8;
/** In base32 (RFC 4648), 130 bits. */
const HASH_CHARACTERS = 26;
/** A hash in fewer characters has no room for the name of its key. */
const HASH_MIN_CHARACTERS = 12;
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';

/** The keys of a policy. They are in no property that something could print. */
export class MaskKeys {
  readonly #keys: ReadonlyMap<string, KeyObject>;

  constructor(keys: readonly { readonly name: string; readonly secret: string }[]) {
    this.#keys = new Map(
      keys.map(({ name, secret }) => [name, createSecretKey(Buffer.from(secret, 'latin1'))]),
    );
  }

  /** HMAC-SHA-256. */
  digest(key: string, bytes: Uint8Array): Buffer {
    const secret = this.#keys.get(key);
    if (secret === undefined) throw new Error('a key that the policy does not have');
    return createHmac('sha256', secret).update(bytes).digest();
  }

  /** `KEY_` and as much of the digest as is good for a text. */
  text(key: string, bytes: Uint8Array): string {
    return `${key}_${base32(this.digest(key, bytes)).slice(0, HASH_CHARACTERS)}`;
  }

  /** The same in exactly `length` characters. */
  textOf(length: number, key: string, bytes: Uint8Array): string {
    const digits = base32(this.digest(key, bytes));
    const named = length >= key.length + 1 + HASH_MIN_CHARACTERS ? `${key}_${digits}` : digits;
    return named.slice(0, length).padEnd(length, '*');
  }
}

function base32(bytes: Uint8Array): string {
  let text = '';
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xffff;
    bits += 8;
    for (; bits >= 5; bits -= 5) text += ALPHABET[(held >> (bits - 5)) & 31];
  }
  return bits > 0 ? text + ALPHABET[(held << (5 - bits)) & 31] : text;
}

/** From the strictest. What several masks found in one place is treated by the strictest. */
const STRICTNESS: readonly MaskAction['kind'][] = ['null', 'drop', 'redact', 'hash', 'partial'];

export function strictest(actions: readonly MaskAction[]): MaskAction | null {
  const rank = (action: MaskAction): number =>
    STRICTNESS.indexOf(action.kind) * 1000 + (action.kind === 'partial' ? action.keepLast : 0);
  return actions.reduce<MaskAction | null>(
    (best, action) => (best === null || rank(action) < rank(best) ? action : best),
    null,
  );
}

/**
 * Takes away in `into` what lies from `start` to `end`, in place. Stars that are there already stay, so that it does not
 * matter in which order overlapping places are treated. Of what cannot be done in place (`null`, `drop`) everything goes.
 *
 * @param from the same bytes as they came
 */
export function paint(
  into: Uint8Array,
  from: Uint8Array,
  start: number,
  end: number,
  action: MaskAction,
  keys: MaskKeys,
  canonical: (found: Uint8Array) => Uint8Array,
): void {
  if (action.kind === 'partial') paintPartial(into, start, end, action.keepLast);
  else if (action.kind === 'hash') {
    const text = keys.textOf(end - start, action.key, canonical(from.subarray(start, end)));
    for (let i = start; i < end; i += 1) into[i] = text.charCodeAt(i - start);
  } else into.fill(STAR, start, end);
}

/** Spaces and dashes stay; of letters and digits the last ones, but never more than half of them. */
function paintPartial(into: Uint8Array, start: number, end: number, keepLast: number): void {
  let total = 0;
  for (let i = start; i < end; i += 1) if (isCharacter(into[i] ?? 0)) total += 1;
  let left = Math.min(keepLast, Math.floor(total / 2));
  let kept = end;
  while (left > 0) {
    kept -= 1;
    if (isCharacter(into[kept] ?? 0)) left -= 1;
  }
  for (let i = start; i < kept; i += 1) if (into[i] !== 0x20 && into[i] !== 0x2d) into[i] = STAR;
}

/** A letter or digit, or the first byte of a character beyond ASCII. Stars count, too: they stand for some. */
function isCharacter(byte: number): boolean {
  return isAlnum(byte) || byte >= 0xc0 || byte === STAR;
}

/** What takes the place of a whole value; null where there is then none. */
export function wholeValue(bytes: Uint8Array, action: MaskAction, keys: MaskKeys): Uint8Array | null {
  switch (action.kind) {
    case 'redact':
      return new Uint8Array(WHOLE_STARS).fill(STAR);
    case 'partial': {
      const into = Uint8Array.from(bytes);
      paintPartial(into, 0, into.length, action.keepLast);
      return into;
    }
    case 'hash':
      return Buffer.from(keys.text(action.key, bytes), 'latin1');
    case 'null':
    case 'drop':
      return null;
  }
}

/** What takes the place of a part of a value, by an action that need not keep the length. */
export function replacement(
  found: Uint8Array,
  action: MaskAction,
  keys: MaskKeys,
  canonical: (found: Uint8Array) => Uint8Array,
): Uint8Array {
  if (action.kind === 'hash') return Buffer.from(keys.text(action.key, canonical(found)), 'latin1');
  if (action.kind === 'drop') return new Uint8Array(0);
  const into = Uint8Array.from(found);
  paint(into, found, 0, found.length, action, keys, canonical);
  return into;
}
