/** User ids as the policy document writes them: a number, `"1000"`, or `"1000-1999"`. */

/** First and last user id, both inclusive. */
export type UidRange = readonly [number, number];

/** 4294967295 is no user: it is how system calls say "unchanged". */
const UID_MAX = 2 ** 32 - 2;

/** Null if the text is no user id or range; a range is never empty. */
export function parseUids(value: string | number): UidRange | null {
  const match = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(String(value));
  if (match === null) return null;
  const first = Number(match[1]);
  const last = match[2] === undefined ? first : Number(match[2]);
  return first <= last && last <= UID_MAX ? [first, last] : null;
}

/** `1000`, or `1000-1999`. */
export function uidsText([first, last]: UidRange): string {
  return first === last ? String(first) : `${first}-${last}`;
}

/** `nested`: one lies in the other and is not the same. */
export function compareUids(a: UidRange, b: UidRange): 'apart' | 'same' | 'nested' | 'overlapping' {
  if (a[1] < b[0] || b[1] < a[0]) return 'apart';
  if (a[0] === b[0] && a[1] === b[1]) return 'same';
  const inside = (inner: UidRange, outer: UidRange): boolean => inner[0] >= outer[0] && inner[1] <= outer[1];
  return inside(a, b) || inside(b, a) ? 'nested' : 'overlapping';
}
