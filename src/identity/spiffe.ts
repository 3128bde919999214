/**
 * SPIFFE IDs from the policy's template.
 *
 * A SPIFFE ID allows letters, digits, `.`, `-` and `_` in a path segment, and no percent-encoding (SPIFFE-ID §2.2),
 * so values are written with `_` as the escape: `_` becomes `__`, any other byte of its UTF-8 that is not allowed
 * becomes `_` and two upper-case hex digits, and so do the dots of `.` and `..`, which may not be segments. The
 * writing can be undone, hence two values never become the same text: `a_2Fb` and `a/b` give `a__2Fb` and `a_2Fb`.
 */

/** SPIFFE-ID §2.3: the most an implementation must take. */
const MAX_ID_BYTES = 2_048;
const MAX_TRUST_DOMAIN_CHARS = 255;
const TRUST_DOMAIN = /^[a-z0-9._-]+$/;
const VALID_ID = /^spiffe:\/\/([a-z0-9._-]+)((?:\/[A-Za-z0-9._-]+)*)$/;

export interface SpiffeValues {
  readonly trust_domain: string;
  readonly host: string | null;
  readonly agent: string | null;
  readonly uid: string | null;
  readonly unit: string | null;
  readonly exe: string | null;
}

/** One value as (part of) a path segment. */
export function encodeSpiffeValue(value: string): string {
  if (value === '.' || value === '..') return value.replaceAll('.', '_2E');
  let text = '';
  for (const byte of Buffer.from(value)) {
    const char = String.fromCharCode(byte);
    if (/[A-Za-z0-9.-]/.test(char)) text += char;
    else if (char === '_') text += '__';
    else text += `_${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return text;
}

/** SPIFFE-ID §2: form, lengths, and no `.` or `..` segment. */
export function isSpiffeId(id: string): boolean {
  if (Buffer.byteLength(id) > MAX_ID_BYTES) return false;
  const parts = VALID_ID.exec(id);
  if (parts === null || (parts[1] ?? '').length > MAX_TRUST_DOMAIN_CHARS) return false;
  return !(parts[2] ?? '').split('/').some((segment) => segment === '.' || segment === '..');
}

/**
 * The template with its placeholders filled in. Null if one of them has no value or the result is no SPIFFE ID:
 * no identity is better than one that says less than the template promised.
 */
export function formatSpiffeId(template: string, values: SpiffeValues): string | null {
  let complete = TRUST_DOMAIN.test(values.trust_domain);
  const id = template.replaceAll(/\{([a-z_]+)\}/g, (_, name: string) => {
    if (name === 'trust_domain') return values.trust_domain;
    const value = Object.hasOwn(values, name) ? values[name as keyof SpiffeValues] : null;
    if (value === null || value === '') complete = false;
    return encodeSpiffeValue(value ?? '');
  });
  return complete && isSpiffeId(id) ? id : null;
}
