/** The few pieces of HTTP's grammar that recognising and reading a request head share. */

/**
 * The longest method read. RFC 9110 §9 sets no limit; the longest ever registered (UPDATEREDIRECTREF) has 17
 * characters, and a short bound is what tells a request from other protocols' text early.
 */
export const MAX_METHOD_LENGTH = 20;

/** RFC 9112 §2.2 asks servers to overlook at least one empty line before a request; old clients send one. */
export const MAX_LEADING_EMPTY_LINES = 2;

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

const TOKEN_BYTES: readonly boolean[] = Array.from({ length: 256 }, (_, byte) =>
  TOKEN.test(String.fromCharCode(byte)),
);

/** `tchar` of RFC 9110 §5.6.2. */
export function isTokenByte(byte: number): boolean {
  return TOKEN_BYTES[byte] ?? false;
}

/** `token` of RFC 9110 §5.6.2. */
export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

/**
 * Without `OWS` (RFC 9110 §5.6.3) at both ends: space and tab only. String.trim also takes characters that are
 * data to a server, such as a no-break space.
 */
export function trimWhitespace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isWhitespace(text[start])) start += 1;
  while (end > start && isWhitespace(text[end - 1])) end -= 1;
  return text.slice(start, end);
}

function isWhitespace(character: string | undefined): boolean {
  return character === ' ' || character === '\t';
}
