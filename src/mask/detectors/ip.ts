/**
 * IP addresses. Those that are nobody's (this host, loopback, masks of networks) are left out, and so are versions of software
 * that look like one.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { type Detector, type Found, isAlnum, isDigit, type Window } from '../detector.ts';

const POINT = 0x2e;
const COLON = 0x3a;
const DASH = 0x2d;
const V4_MAX_BYTES = 15;
const V6_MAX_BYTES = 45;
/** `version: ` and the like, before what is then none. */
const VERSION = /(?:ver|version|release|build|firmware|v)[ :="']{0,3}$/i;
const VERSION_BYTES = 12;

export const ipv4: Detector = {
  name: 'ipv4',
  needles: [
    { expression: '[^0-9.][0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}[^0-9]', caseless: false },
  ],
  before: V4_MAX_BYTES + VERSION_BYTES + 2,
  after: 2,
  confirm: (window, end) => {
    const stop = end - 1;
    let start = stop;
    while (isDigit(window.at(start - 1)) || window.at(start - 1) === POINT) start -= 1;
    if (isAlnum(window.at(start - 1)) || window.at(start - 1) === DASH || goesOn(window, stop)) return null;
    const text = textOf(window, start, stop);
    if (!isIPv4(text) || /^(?:0|127)\.|^255\.255\./.test(text)) return null;
    return VERSION.test(textOf(window, start - VERSION_BYTES, start)) ? null : { start, end: stop };
  },
};

/** As part of something longer: `1.2.3.4.5`, `1.2.3.4-beta`. */
function goesOn(window: Window, stop: number): boolean {
  const [next, second] = [window.at(stop), window.at(stop + 1)];
  return isAlnum(next) || next === 0x5f || ((next === POINT || next === DASH) && isAlnum(second));
}

export const ipv6: Detector = {
  name: 'ipv6',
  needles: [
    { expression: '[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{1,4}:', caseless: false },
    { expression: '[0-9A-Fa-f]::', caseless: false },
  ],
  before: V6_MAX_BYTES + 2,
  after: V6_MAX_BYTES + 2,
  confirm: (window, end) => {
    let start = end - 1;
    while (isPart(window.at(start - 1)) && end - start <= V6_MAX_BYTES) start -= 1;
    let stop = end;
    while (isPart(window.at(stop)) && stop - start <= V6_MAX_BYTES) stop += 1;
    // The end of a sentence, or of what stood before it.
    while (stop > end && window.at(stop - 1) === POINT) stop -= 1;
    return isAlnum(window.at(start - 1)) || isAlnum(window.at(stop)) ? null : confirmV6(window, start, stop);
  },
};

function isPart(byte: number): boolean {
  return (
    isDigit(byte) ||
    byte === COLON ||
    byte === POINT ||
    (byte >= 0x41 && byte <= 0x46) ||
    (byte >= 0x61 && byte <= 0x66)
  );
}

function confirmV6(window: Window, start: number, stop: number): Found | null {
  const text = textOf(window, start, stop);
  // With two groups and no digit it is rather a name of C++.
  const groups = text.split(':').filter((group) => group !== '').length;
  return isIPv6(text) && groups >= 2 && /[0-9]/.test(text) ? { start, end: stop } : null;
}

function textOf(window: Window, start: number, stop: number): string {
  let text = '';
  for (let i = start; i < stop; i += 1) text += window.at(i) < 0 ? '' : String.fromCharCode(window.at(i));
  return text;
}
