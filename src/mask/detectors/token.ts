/**
 * Makes detectors of tokens that say what they are: a published prefix, then characters of one kind, at least so many. A longer
 * one than is known today is one as well, unless its length is fixed; their checksums are not asked for, as services change
 * them without notice. A run of few different characters (`xxxx…`, `0000…`) is somebody's placeholder.
 */
import type { ByteSet } from '../../policy/pattern.ts';
import { type Detector, type Found, isAlnum, type Needle, type Window } from '../detector.ts';

const setOf = (characters: RegExp): ByteSet =>
  Array.from({ length: 256 }, (_, byte) => byte < 0x80 && characters.test(String.fromCharCode(byte)));

export const KINDS = {
  alnum: setOf(/[0-9A-Za-z]/),
  word: setOf(/[0-9A-Za-z_-]/),
  dotted: setOf(/[0-9A-Za-z_.-]/),
  base64: setOf(/[0-9A-Za-z+/=]/),
  escaped: setOf(/[0-9A-Za-z+/=_%-]/),
  path: setOf(/[0-9A-Za-z_/-]/),
  hex: setOf(/[0-9A-Fa-f]/),
  base32: setOf(/[A-Z2-7]/),
} as const;

export interface Form {
  /** What it begins with; the letters are as they are written. */
  readonly prefix: string;
  readonly kind: keyof typeof KINDS;
  /** Characters behind the prefix. */
  readonly min: number;
  /** Then nothing more of its kind may follow. */
  readonly exact?: true;
  /** The prefix is no part of the secret: it is left as it is. */
  readonly named?: true;
}

const DIFFERENT_MIN = 5;
const TOKEN_MAX_BYTES = 8 * 1024;

export function tokenDetector(name: string, forms: readonly Form[]): Detector {
  return {
    name,
    needles: forms.map(({ prefix }): Needle => ({ expression: literal(prefix), caseless: false })),
    before: Math.max(...forms.map(({ prefix }) => prefix.length)) + 1,
    after: Math.max(...forms.map(({ min }) => min)) + 1,
    confirm: (window, end, needle) => {
      const form = forms[needle];
      return form === undefined ? null : confirmForm(window, end, form);
    },
  };
}

export function confirmForm(window: Window, end: number, form: Form): Found | null {
  const start = end - form.prefix.length;
  if (isAlnum(form.prefix.charCodeAt(0)) && isAlnum(window.at(start - 1))) return null;
  const body = bodyOf(window, end, form);
  if (body === null) return null;
  const from = form.named === true ? end : start;
  if (form.exact === true) return { start: from, end: body };
  return { start: from, end: body, grows: { set: KINDS[form.kind], maxBytes: TOKEN_MAX_BYTES } };
}

/** Where the least of a body that begins at `start` ends; null: it is none. */
export function bodyOf(
  window: Window,
  start: number,
  { kind, min, exact }: Omit<Form, 'prefix'>,
): number | null {
  const set = KINDS[kind];
  const different = new Set<number>();
  for (let i = start; i < start + min; i += 1) {
    const byte = window.at(i);
    if (set[byte] !== true) return null;
    different.add(byte);
  }
  if (different.size < Math.min(DIFFERENT_MIN, min)) return null;
  return exact === true && set[window.at(start + min)] === true ? null : start + min;
}

/** As an expression that means just these characters. */
export function literal(text: string): string {
  return text.replace(/[^0-9A-Za-z]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
