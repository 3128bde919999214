/** E-mail addresses, by the forms that are in use: a local part of up to 64 bytes, and a domain of at least two labels. */
import { type Detector, isAlnum, isDigit, type Window } from '../detector.ts';

const LOCAL_MAX_BYTES = 64;
const DOMAIN_MAX_BYTES = 253;
const LABEL_MAX_BYTES = 63;
const POINT = 0x2e;
const QUOTE = 0x27;
const SLASH = 0x2f;
const DASH = 0x2d;

/** Behind `icon@2x`, and no domain that anybody has mail at. */
const FILE_ENDINGS: ReadonlySet<string> = new Set([
  'png',
  'jpg',
  'jpeg',
  'gif',
  'svg',
  'webp',
  'ico',
  'css',
  'js',
  'mjs',
  'ts',
  'tsx',
  'jsx',
  'json',
  'html',
  'pdf',
  'txt',
  'exe',
  'service',
  'timer',
  'socket',
  'target',
  'mount',
  'slice',
  'scope',
]);

export const email: Detector = {
  name: 'email',
  needles: [{ expression: "[0-9A-Za-z_%+'\\x80-\\xff-]@[0-9A-Za-z\\x80-\\xff]", caseless: false }],
  before: LOCAL_MAX_BYTES + 3,
  after: DOMAIN_MAX_BYTES,
  confirm: (window, end) => {
    const at = end - 2;
    const start = startOf(window, at);
    if (start === null) return null;
    const domainEnd = endOf(window, at + 1);
    return domainEnd === null || isRemote(window, start, at, domainEnd) ? null : { start, end: domainEnd };
  },
  canonical: (found) => new TextEncoder().encode(new TextDecoder('latin1').decode(found).toLowerCase()),
};

function startOf(window: Window, at: number): number | null {
  let start = at;
  while (isLocal(window.at(start - 1))) {
    start -= 1;
    if (at - start > LOCAL_MAX_BYTES) return null;
  }
  // Quotes stand around one, and inside of one only in names.
  while (start < at && (window.at(start) === POINT || window.at(start) === QUOTE)) start += 1;
  // `scheme://user@host` is a place.
  const isPlace = window.at(start - 1) === SLASH && window.at(start - 2) === SLASH;
  return start < at && !isPlace ? start : null;
}

function isLocal(byte: number): boolean {
  return isAlnum(byte) || byte >= 0x80 || LOCAL_SIGNS.has(byte);
}

const LOCAL_SIGNS: ReadonlySet<number> = new Set(Buffer.from("._%+-'"));

/** Behind the last label that makes it a domain. */
function endOf(window: Window, start: number): number | null {
  let end: number | null = null;
  let label = start;
  for (let at = start; ; at += 1) {
    const byte = window.at(at);
    if (isAlnum(byte) || byte >= 0x80 || byte === DASH) {
      if (at - label >= LABEL_MAX_BYTES || at - start >= DOMAIN_MAX_BYTES) return null;
      continue;
    }
    const length = at - label;
    if (length > 0 && label > start && isTop(window, label, at)) end = at;
    if (byte !== POINT || length === 0) return end;
    label = at + 1;
  }
}

/** Whether it may be the last label of a domain: at least two letters, or a name in another script. */
function isTop(window: Window, from: number, to: number): boolean {
  if (to - from < 2 || window.at(to - 1) === DASH) return false;
  let text = '';
  for (let i = from; i < to; i += 1) {
    const byte = window.at(i);
    if (isDigit(byte) && !text.startsWith('xn--')) return false;
    text += String.fromCharCode(byte).toLowerCase();
  }
  return !FILE_ENDINGS.has(text) && (!text.includes('-') || text.startsWith('xn--'));
}

/** `git@host:path` is a place and nobody's address. */
function isRemote(window: Window, start: number, at: number, end: number): boolean {
  const isGit =
    at - start === 3 && [...'git'].every((char, i) => window.at(start + i) === char.charCodeAt(0));
  return isGit && (window.at(end) === 0x3a || window.at(end) === 0x2f);
}
