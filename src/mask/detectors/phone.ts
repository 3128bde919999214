/**
 * Telephone numbers: international ones with a country code that is assigned (ITU-T E.164: 15 digits at the most), the
 * national forms of North America, France and the United Kingdom, and any other behind a word that says so.
 */
import { type Detector, type Found, isAlnum, isDigit, type Window } from '../detector.ts';

const INTERNATIONAL_BYTES = 8;
const LONGEST_BYTES = 24;
const GAP_MAX_BYTES = 6;
const SIGNS = new Set(Buffer.from(' ().-/'));
const PLUS = 0x2b;
const SPACE = 0x20;
const BRACKET = 0x28;

const COUNTRY_CODES: ReadonlySet<string> = new Set(
  (
    '1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 91 ' +
    '92 93 94 95 98 211 212 213 216 218 220 221 222 223 224 225 226 227 228 229 230 231 232 233 234 235 236 237 238 239 240 ' +
    '241 242 243 244 245 246 247 248 249 250 251 252 253 254 255 256 257 258 260 261 262 263 264 265 266 267 268 269 290 291 ' +
    '297 298 299 350 351 352 353 354 355 356 357 358 359 370 371 372 373 374 375 376 377 378 380 381 382 383 385 386 387 389 ' +
    '420 421 423 500 501 502 503 504 505 506 507 508 509 590 591 592 593 594 595 596 597 598 599 670 672 673 674 675 676 677 ' +
    '678 679 680 681 682 683 685 686 687 688 689 690 691 692 800 808 850 852 853 855 856 870 878 880 881 882 883 886 888 960 ' +
    '961 962 963 964 965 966 967 968 970 971 972 973 974 975 976 977 979 992 993 994 995 996 998'
  ).split(' '),
);

type Confirm = (window: Window, end: number) => Found | null;

const FORMS: readonly {
  readonly expression: string;
  readonly caseless: boolean;
  readonly confirm: Confirm;
}[] = [
  { expression: '\\+[1-9][0-9 ().-]{6}', caseless: false, confirm: confirmInternational },
  {
    expression: '[^0-9A-Za-z][2-9][0-9]{2}[) .-]{1,2}[2-9][0-9]{2}[ .-][0-9]{4}[^0-9A-Za-z]',
    caseless: false,
    confirm: (window, end) => confirmNorthAmerican(window, end - 1),
  },
  {
    expression: '[^0-9A-Za-z]0[1-9]([ .-][0-9]{2}){4}[^0-9A-Za-z]',
    caseless: false,
    confirm: (window, end) => confirmFrench(window, end - 1),
  },
  {
    expression: '[^0-9A-Za-z.]0[1-9][0-9]{1,3} [0-9]{3,4} ?[0-9]{3,4}[^0-9A-Za-z]',
    caseless: false,
    confirm: (window, end) => confirmBritish(window, end - 1),
  },
  {
    expression: '(?:phone|telefon|mobile|whatsapp|[^a-z]tel|[^a-z]fax)[ :="\'._#-]',
    caseless: true,
    confirm: confirmNamed,
  },
];

export const phone: Detector = {
  name: 'phone',
  needles: FORMS,
  before: LONGEST_BYTES + 4,
  after: LONGEST_BYTES + GAP_MAX_BYTES + 16,
  confirm: (window, end, needle) => FORMS[needle]?.confirm(window, end) ?? null,
  canonical: (found) => found.filter((byte) => isDigit(byte) || byte === PLUS),
};

interface Run {
  readonly end: number;
  readonly digits: string;
}

/** Digits with single signs between them (two where one is a bracket), as far as they go. */
function runFrom(window: Window, start: number): Run {
  let digits = '';
  let end = start;
  for (let at = start, signs = 0; at < start + LONGEST_BYTES; at += 1) {
    const byte = window.at(at);
    if (isDigit(byte)) {
      digits += String.fromCharCode(byte);
      end = at + 1;
      signs = 0;
    } else {
      signs += 1;
      if (!SIGNS.has(byte) || signs > 3 || (signs > 1 && byte === SPACE && window.at(at - 1) === SPACE))
        break;
    }
  }
  return { end, digits };
}

function confirmInternational(window: Window, end: number): Found | null {
  const start = end - INTERNATIONAL_BYTES;
  if (isAlnum(window.at(start - 1)) || window.at(start - 1) === PLUS) return null;
  const { end: stop, digits } = runFrom(window, start + 1);
  if (isAlnum(window.at(stop)) || digits.length < 8 || digits.length > 15) return null;
  const code = [1, 2, 3].map((length) => digits.slice(0, length)).find((text) => COUNTRY_CODES.has(text));
  if (code === undefined) return null;
  if (code === '1' && !/^1[2-9]\d{2}[2-9]\d{6}$/.test(digits)) return null;
  // A trunk zero in brackets, +44 (0)20 …, is no digit of the number.
  return { start, end: stop };
}

function confirmNorthAmerican(window: Window, end: number): Found | null {
  let start = end - 8;
  while (!isDigit(window.at(start - 1))) start -= 1;
  start -= 3;
  if (window.at(start + 3) === 0x29 && window.at(start - 1) !== 0x28) return null;
  if (window.at(start - 1) === 0x28) start -= 1;
  // Second and third digit of an area are never both 1, and X9X is kept for later.
  const area = [0, 1, 2].map((i) => window.at(start + i + (window.at(start) === 0x28 ? 1 : 0)));
  if ((area[1] === 0x31 && area[2] === 0x31) || area[1] === 0x39) return null;
  return standsAlone(window, start, end) ? { start, end } : null;
}

/** As part of a list of numbers it could be anything. */
function standsAlone(window: Window, start: number, end: number): boolean {
  const [before, behind] = [window.at(start - 1), window.at(end)];
  if (isAlnum(before) || isAlnum(behind)) return false;
  if (
    SIGNS.has(before) &&
    isDigit(window.at(start - 2)) &&
    !(window.at(start - 2) === 0x31 && !isAlnum(window.at(start - 3)))
  )
    return false;
  return !(SIGNS.has(behind) && behind !== 0x2f && isDigit(window.at(end + 1)));
}

function confirmFrench(window: Window, end: number): Found | null {
  const start = end - 14;
  const signs = [2, 5, 8, 11].map((at) => window.at(start + at));
  return new Set(signs).size === 1 && standsAlone(window, start, end) ? { start, end } : null;
}

function confirmBritish(window: Window, end: number): Found | null {
  let start = end;
  while ((isDigit(window.at(start - 1)) || window.at(start - 1) === SPACE) && end - start < 14) start -= 1;
  while (window.at(start) === SPACE) start += 1;
  const { digits, end: stop } = runFrom(window, start);
  return stop === end && /^0[1-9]\d{8,9}$/.test(digits) && standsAlone(window, start, end)
    ? { start, end }
    : null;
}

/** Behind a word: seven digits or more, not far from it. */
function confirmNamed(window: Window, end: number): Found | null {
  let start = end;
  while (
    start < end + GAP_MAX_BYTES &&
    !isDigit(window.at(start)) &&
    window.at(start) !== PLUS &&
    window.at(start) !== 0x28
  ) {
    if (isAlnum(window.at(start)) || window.at(start) < 0) return null;
    start += 1;
  }
  const { end: stop, digits } = runFrom(
    window,
    start + (window.at(start) === PLUS || window.at(start) === BRACKET ? 1 : 0),
  );
  // A bracket around all of it is not part of it.
  if (window.at(start) === BRACKET && !closes(window, start, stop)) start += 1;
  if (isAlnum(window.at(stop)) || digits.length < 7 || digits.length > 15) return null;
  return { start, end: stop };
}

function closes(window: Window, start: number, stop: number): boolean {
  for (let at = start; at < stop; at += 1) if (window.at(at) === 0x29) return true;
  return false;
}
