/**
 * Payment card numbers: known issuer range, a length this issuer uses, and the Luhn checksum (ISO/IEC 7812-1), written in
 * one piece or in the groups printed on cards.
 */
import { type Detector, type Found, isAlnum, isDigit, type Window } from '../detector.ts';

/** Prefixes, inclusive, with as many digits as are written, and the lengths of numbers that begin so. */
const ISSUERS: readonly (readonly [first: string, last: string, shortest: number, longest: number])[] = [
  ['4', '4', 16, 16], // Visa
  ['4', '4', 19, 19],
  ['51', '55', 16, 16], // Mastercard
  ['2221', '2720', 16, 16],
  ['34', '34', 15, 15], // American Express
  ['37', '37', 15, 15],
  ['6011', '6011', 16, 19], // Discover
  ['644', '659', 16, 19],
  ['300', '305', 14, 19], // Diners Club
  ['3095', '3095', 14, 19],
  ['36', '36', 14, 19],
  ['38', '39', 14, 19],
  ['3528', '3589', 16, 19], // JCB
  ['62', '62', 16, 19], // UnionPay
  ['2200', '2204', 16, 19], // Mir
  ['5018', '5018', 14, 19], // Maestro
  ['5020', '5020', 14, 19],
  ['5038', '5038', 14, 19],
  ['5893', '5893', 14, 19],
  ['6304', '6304', 14, 19],
  ['6759', '6759', 14, 19],
  ['6761', '6763', 14, 19],
  ['508', '508', 16, 16], // RuPay
  ['60', '60', 16, 16],
];

const DIGITS_MAX = 19;
const PIECE = 0;
/** Bytes of the needles for groups, without the one before. */
const GROUPS_BYTES = 16;
const GROUPINGS: readonly (readonly number[])[] = [
  [4, 4, 4, 4, 3],
  [4, 4, 4, 4],
  [4, 6, 5],
  [4, 6, 4],
];

export const card: Detector = {
  name: 'card',
  // What stands before a number is part of the needle: behind a letter or digit it is part of something else, behind a
  // point a fraction. So the scanner tells of none of the many numbers that are not of such a length.
  needles: [
    { expression: '[^0-9A-Za-z.][2-6][0-9]{13,18}[^0-9A-Za-z]', caseless: false },
    { expression: '[^0-9A-Za-z.][2-6][0-9]{3}[ -][0-9]{4}[ -][0-9]{4}[ -][0-9]', caseless: false },
    { expression: '[^0-9A-Za-z.]3[0-9]{3}[ -][0-9]{6}[ -][0-9]{4}', caseless: false },
  ],
  before: 24,
  after: 10,
  confirm: (window, end, needle) =>
    needle === PIECE ? confirmPiece(window, end - 1) : confirmGroups(window, end - GROUPS_BYTES),
  canonical: (found) => found.filter(isDigit),
};

function confirmPiece(window: Window, end: number): Found | null {
  // Behind a point digits are a fraction, and before one they are a number.
  if (window.at(end) === POINT && isDigit(window.at(end + 1))) return null;
  let start = end;
  while (isDigit(window.at(start - 1))) start -= 1;
  return isCard(digitsOf(window, start, end)) ? { start, end } : null;
}

function confirmGroups(window: Window, start: number): Found | null {
  const separator = window.at(start + 4);
  for (const grouping of GROUPINGS) {
    const end = endOf(window, start, grouping, separator);
    if (end !== null && isCard(digitsOf(window, start, end))) return { start, end };
  }
  return null;
}

function endOf(window: Window, start: number, grouping: readonly number[], separator: number): number | null {
  let at = start;
  for (const [i, length] of grouping.entries()) {
    if (i > 0) {
      if (window.at(at) !== separator) return null;
      at += 1;
    }
    for (let end = at + length; at < end; at += 1) if (!isDigit(window.at(at))) return null;
  }
  return isAlnum(window.at(at)) ? null : at;
}

const POINT = 0x2e;

function digitsOf(window: Window, start: number, end: number): number[] {
  const digits: number[] = [];
  for (let i = start; i < end; i += 1) {
    const byte = window.at(i);
    if (isDigit(byte)) digits.push(byte - 0x30);
  }
  return digits;
}

function isCard(digits: readonly number[]): boolean {
  if (digits.length > DIGITS_MAX || !passesLuhn(digits)) return false;
  const text = digits.slice(0, 4).join('');
  return ISSUERS.some(([first, last, shortest, longest]) => {
    const prefix = text.slice(0, first.length);
    return digits.length >= shortest && digits.length <= longest && prefix >= first && prefix <= last;
  });
}

function passesLuhn(digits: readonly number[]): boolean {
  let sum = 0;
  for (const [i, digit] of digits.entries()) {
    const doubled = (digits.length - i) % 2 === 0 ? digit * 2 : digit;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return sum % 10 === 0;
}
