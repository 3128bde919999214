/**
 * Masks inside of a JSON text so that it stays one: strings are looked at as what they say (escapes resolved), keys as
 * well, and a number that is masked becomes null.
 */

/** As Masker's `value`, for texts. Null: nothing to mask. */
export type TextMask = (text: Uint8Array) => { readonly bytes: Uint8Array | null } | null;

/** A string without end is one to the end: looked for again from each quote in it, it would cost the square of its length. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?$)|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/gs;

/** @returns the text with what was masked in it, or null if nothing was */
export function maskJson(text: Uint8Array, mask: TextMask): Buffer | null {
  const json = Buffer.from(text.buffer, text.byteOffset, text.length).toString('utf8');
  let changed = false;
  const masked = json.replace(TOKEN, (token) => {
    const inside = token.startsWith('"') ? textOf(token) : token;
    const hit = mask(Buffer.from(inside, 'utf8'));
    if (hit === null) return token;
    changed = true;
    if (!token.startsWith('"')) return 'null';
    // A key cannot be null; a string that is gone is an empty one in both places.
    return JSON.stringify(hit.bytes === null ? '' : Buffer.from(hit.bytes).toString('utf8'));
  });
  return changed ? Buffer.from(masked, 'utf8') : null;
}

/** What PostgreSQL takes for a string may be none to JavaScript (a control character in it): then it is as it is written. */
function textOf(token: string): string {
  try {
    return String(JSON.parse(token));
  } catch {
    return token.length > 1 && token.endsWith('"') ? token.slice(1, -1) : token.slice(1);
  }
}
