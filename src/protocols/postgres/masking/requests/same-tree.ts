/** Whether two texts are the same statements but for values that were masked, by their trees. */
import { isNode } from '../../parser.ts';

export interface Changes {
  /** What a string became: by what it said (latin1 of its UTF-8), all it may say now. */
  readonly strings: ReadonlyMap<string, ReadonlySet<string>>;
  /** Where constants began that are NULL now. */
  readonly nulls: ReadonlySet<number>;
}

/** Where something stands in the text is not what it is. */
const PLACES = /location$|_start$|_end$|^stmt_len$/;

export function isSameBut(before: unknown, after: unknown, changes: Changes): boolean {
  const waiting: (readonly [unknown, unknown])[] = [[before, after]];
  for (let pair = waiting.pop(); pair !== undefined; pair = waiting.pop()) {
    const [one, other] = pair;
    if (Array.isArray(one) && Array.isArray(other)) {
      if (one.length !== other.length) return false;
      for (const [index, item] of one.entries()) waiting.push([item, other[index]]);
    } else if (isNode(one) && isNode(other)) {
      if (isNulled(one, other, changes)) continue;
      const keys = Object.keys(one).filter((key) => !PLACES.test(key));
      if (keys.length !== Object.keys(other).filter((key) => !PLACES.test(key)).length) return false;
      for (const key of keys) {
        if (!Object.hasOwn(other, key)) return false;
        waiting.push([one[key], other[key]]);
      }
    } else if (one !== other && !isMasked(one, other, changes)) return false;
  }
  return true;
}

function isNulled(
  one: Readonly<Record<string, unknown>>,
  other: Readonly<Record<string, unknown>>,
  { nulls }: Changes,
): boolean {
  const [before, after] = [one['A_Const'], other['A_Const']];
  if (!isNode(before) || !isNode(after)) return false;
  return after['isnull'] === true && before['isnull'] !== true && nulls.has(Number(before['location'] ?? 0));
}

function isMasked(one: unknown, other: unknown, { strings }: Changes): boolean {
  if (typeof one !== 'string' || typeof other !== 'string') return false;
  const latin1 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
  return strings.get(latin1(one))?.has(latin1(other)) === true;
}
