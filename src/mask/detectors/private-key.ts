/**
 * Private keys in PEM (RFC 7468, and the kinds of OpenSSL, OpenSSH and PGP), over as many lines as they have, also where line
 * feeds are written as `\n`.
 */
import { type Detector, isAlnum, type Window } from '../detector.ts';

/** RSA with 16,384 bits has 12,700 bytes. */
const KEY_MAX_BYTES = 32 * 1024;
/** `-----BEGIN ` and the longest of the names before `PRIVATE KEY`. */
const HEAD_MAX_BYTES = 48;
const DASH = 0x2d;

/** Base64, blanks, the headers of old kinds, and line feeds that were escaped. */
const BODY = Array.from(
  { length: 256 },
  (_, byte) => isAlnum(byte) || '+/= \t\r\n\\:,-.()'.includes(String.fromCharCode(byte)),
);

export const privateKey: Detector = {
  name: 'private-key',
  needles: [
    { expression: 'PRIVATE KEY-----', caseless: false },
    { expression: 'PRIVATE KEY BLOCK-----', caseless: false },
  ],
  before: HEAD_MAX_BYTES + 22,
  after: 0,
  confirm: (window, end) => {
    let at = end - 6;
    while (end - at < HEAD_MAX_BYTES + 16 && isName(window.at(at))) at -= 1;
    if (window.at(at) !== DASH) return null;
    const start = at - 4;
    for (let i = start; i <= at; i += 1) if (window.at(i) !== DASH) return null;
    if (says(window, at + 1, 'END ')) return { start, end, closes: true };
    if (!says(window, at + 1, 'BEGIN ')) return null;
    return { start, end, grows: { set: BODY, maxBytes: KEY_MAX_BYTES } };
  },
};

function isName(byte: number): boolean {
  return (byte >= 0x41 && byte <= 0x5a) || byte === 0x20 || (byte >= 0x30 && byte <= 0x39);
}

function says(window: Window, at: number, text: string): boolean {
  return [...text].every((char, i) => window.at(at + i) === char.charCodeAt(0));
}
