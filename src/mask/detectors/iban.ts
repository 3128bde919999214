/** International bank account numbers (ISO 13616): the length of their country, and the checksum modulo 97. */
import { type Detector, type Found, isAlnum, isDigit, type Window } from '../detector.ts';

/** Length by country, from the registry that SWIFT keeps. */
const LENGTHS: Readonly<Record<string, number>> = {
  AD: 24,
  AE: 23,
  AL: 28,
  AT: 20,
  AZ: 28,
  BA: 20,
  BE: 16,
  BG: 22,
  BH: 22,
  BI: 27,
  BR: 29,
  BY: 28,
  CH: 21,
  CR: 22,
  CY: 28,
  CZ: 24,
  DE: 22,
  DJ: 27,
  DK: 18,
  DO: 28,
  EE: 20,
  EG: 29,
  ES: 24,
  FI: 18,
  FK: 18,
  FO: 18,
  FR: 27,
  GB: 22,
  GE: 22,
  GI: 23,
  GL: 18,
  GR: 27,
  GT: 28,
  HR: 21,
  HU: 28,
  IE: 22,
  IL: 23,
  IQ: 23,
  IS: 26,
  IT: 27,
  JO: 30,
  KW: 30,
  KZ: 20,
  LB: 28,
  LC: 32,
  LI: 21,
  LT: 20,
  LU: 20,
  LV: 21,
  LY: 25,
  MC: 27,
  MD: 24,
  ME: 22,
  MK: 19,
  MN: 20,
  MR: 27,
  MT: 31,
  MU: 30,
  NI: 28,
  NL: 18,
  NO: 15,
  OM: 23,
  PK: 24,
  PL: 28,
  PS: 29,
  PT: 25,
  QA: 29,
  RO: 24,
  RS: 22,
  RU: 33,
  SA: 24,
  SC: 31,
  SD: 18,
  SE: 24,
  SI: 19,
  SK: 24,
  SM: 27,
  SO: 23,
  ST: 25,
  SV: 28,
  TL: 23,
  TN: 24,
  TR: 26,
  UA: 29,
  VA: 22,
  VG: 24,
  XK: 20,
  YE: 30,
};

const LONGEST = 33;
const SPACE = 0x20;
/** The needle without what stands before it, and without spaces. */
const NEEDLE_BYTES = 12;

export const iban: Detector = {
  name: 'iban',
  // One for each country: literals are looked for several times as fast as any two capitals.
  needles: Object.keys(LENGTHS).map((country) => ({
    expression: `[^0-9A-Za-z]${country}[0-9]{2} ?[0-9A-Z]{4} ?[0-9A-Z]{4}`,
    caseless: false,
  })),
  before: NEEDLE_BYTES + 4,
  after: LONGEST + 8,
  confirm: (window, end) => {
    for (const spaces of [0, 1, 2]) {
      const found = confirmFrom(window, end - NEEDLE_BYTES - spaces);
      if (found !== null) return found;
    }
    return null;
  },
  canonical: (found) =>
    Uint8Array.from(
      found.filter((byte) => byte !== SPACE),
      (byte) => (byte >= 0x61 ? byte - 0x20 : byte),
    ),
};

function confirmFrom(window: Window, start: number): Found | null {
  if (isAlnum(window.at(start - 1))) return null;
  const length =
    LENGTHS[String.fromCharCode(...[0, 1].map((i) => window.at(start + i) & 0xff)).toUpperCase()];
  if (length === undefined) return null;
  let at = start;
  let text = '';
  for (; text.length < length; at += 1) {
    const byte = window.at(at);
    if (isAlnum(byte)) text += String.fromCharCode(byte).toUpperCase();
    else if (byte !== SPACE || text.length % 4 !== 0) return null;
  }
  if (isAlnum(window.at(at)) || !isDigit(window.at(start + 2)) || !isDigit(window.at(start + 3))) return null;
  return remainder(text.slice(4) + text.slice(0, 4)) === 1 ? { start, end: at } : null;
}

/** ISO 7064, MOD 97-10; letters are two digits, A is 10. */
function remainder(text: string): number {
  let rest = 0;
  for (const char of text) {
    const value = Number.parseInt(char, 36);
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97;
  }
  return rest;
}
