/**
 * Social security numbers of the United States: in the form 000-00-0000, or nine digits behind words that say so. They have
 * no checksum; what is never assigned (area 000, 666, 900 and above, group 00, serial 0000) is left out, and so are the
 * two that were printed for show.
 */
import { type Detector, type Found, isAlnum, isDigit, type Window } from '../detector.ts';

const DASHED = 0;
const DASHED_BYTES = 11;
const DASH = 0x2d;
/** Between the words and the number: `SSN (US): "123456789"`. */
const GAP_MAX_BYTES = 16;

export const usSsn: Detector = {
  name: 'us-ssn',
  needles: [
    { expression: '[^0-9A-Za-z-][0-9]{3}-[0-9]{2}-[0-9]{4}[^0-9A-Za-z-]', caseless: false },
    { expression: '[^a-z]ssn', caseless: true },
    { expression: 'social[ _-]security', caseless: true },
  ],
  before: 13,
  after: GAP_MAX_BYTES + DASHED_BYTES + 8,
  confirm: (window, end, needle) =>
    needle === DASHED ? confirmDashed(window, end - 1 - DASHED_BYTES) : confirmNamed(window, end),
  canonical: (found) => found.filter(isDigit),
};

function confirmDashed(window: Window, start: number): Found | null {
  return isAssigned(digitsOf(window, start, start + DASHED_BYTES))
    ? { start, end: start + DASHED_BYTES }
    : null;
}

/** Nine digits, with or without a separator, not far behind the words. */
function confirmNamed(window: Window, end: number): Found | null {
  let start = end;
  while (start < end + GAP_MAX_BYTES && !isDigit(window.at(start))) start += 1;
  let at = start;
  for (let digits = 0; digits < 9; at += 1) {
    const byte = window.at(at);
    if (isDigit(byte)) digits += 1;
    else if (!(byte === DASH || byte === 0x20) || !(digits === 3 || digits === 5)) return null;
  }
  if (isAlnum(window.at(at))) return null;
  return isAssigned(digitsOf(window, start, at)) ? { start, end: at } : null;
}

function digitsOf(window: Window, start: number, end: number): string {
  let digits = '';
  for (let i = start; i < end; i += 1) {
    const byte = window.at(i);
    if (isDigit(byte)) digits += String.fromCharCode(byte);
  }
  return digits;
}

function isAssigned(digits: string): boolean {
  const area = digits.slice(0, 3);
  if (area === '000' || area === '666' || area >= '900') return false;
  if (digits.slice(3, 5) === '00' || digits.slice(5) === '0000') return false;
  return digits !== '078051120' && digits !== '219099999';
}
