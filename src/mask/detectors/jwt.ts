/**
 * JSON Web Tokens (RFC 7519), signed or encrypted: a header in base64url that is JSON and names an algorithm, a point, and
 * whatever follows in base64url and points, be it as long as it likes.
 */
import { type Detector, isAlnum } from '../detector.ts';

/** With a certificate in it a header has a thousand bytes; longer ones are not looked for. */
const HEADER_MAX_BYTES = 1024;
/** HTTP carries no longer one. */
const TOKEN_MAX_BYTES = 64 * 1024;
const POINT = 0x2e;

const TOKEN = Array.from({ length: 256 }, (_, byte) => isBase64Url(byte) || byte === POINT);

export const jwt: Detector = {
  name: 'jwt',
  // `{"` in base64.
  needles: [{ expression: 'eyJ', caseless: false }],
  before: 4,
  after: HEADER_MAX_BYTES + 8,
  confirm: (window, end) => {
    const start = end - 3;
    if (isBase64Url(window.at(start - 1))) return null;
    let at = end;
    while (at - start < HEADER_MAX_BYTES && isBase64Url(window.at(at))) at += 1;
    if (window.at(at) !== POINT || !isBase64Url(window.at(at + 1)) || !isBase64Url(window.at(at + 2)))
      return null;
    const header = Buffer.from(window.bytes.subarray(start, at)).toString('latin1');
    if (!/"alg"\s*:\s*"/.test(Buffer.from(header, 'base64url').toString('latin1'))) return null;
    return { start, end: at + 2, grows: { set: TOKEN, maxBytes: TOKEN_MAX_BYTES } };
  },
};

function isBase64Url(byte: number): boolean {
  return isAlnum(byte) || byte === 0x2d || byte === 0x5f;
}
