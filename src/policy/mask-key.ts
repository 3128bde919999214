/**
 * Reads a key that values are hashed with. Whoever has it can tell which value a hash is of by trying; so it must not be
 * one that can be tried out itself, and no message says anything of what it holds.
 */
import type { PemResult } from './pem.ts';

/** 256 bits in hexadecimal are 64 characters, in base64 43. */
const KEY_MIN_CHARACTERS = 32;
const KEY_MAX_CHARACTERS = 4096;

/** @param text of the file, one character a byte. Blanks around the key do not belong to it. */
export function readMaskKey(text: string): PemResult<string> {
  const key = text.trim();
  const hint = 'make one: openssl rand -hex 32';
  if (key.length < KEY_MIN_CHARACTERS)
    return { ok: false, message: `holds no key of ${KEY_MIN_CHARACTERS} characters or more`, hint };
  if (key.length > KEY_MAX_CHARACTERS)
    return { ok: false, message: `holds more than ${KEY_MAX_CHARACTERS} characters`, hint };
  if (new Set(key).size < 8) return { ok: false, message: 'holds a key of few different characters', hint };
  return { ok: true, value: key };
}
