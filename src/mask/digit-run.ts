/**
 * How many digits every match of an expression holds in one run: with nothing between them but digits and bytes from space to
 * slash. The scanner looks for expressions with many only in texts that hold as many (native/src/digit_run.h).
 *
 * On the safe side: 0 for what is not understood.
 */
import { type ByteSet, type PatternNode, parsePattern } from '../policy/pattern.ts';

/** What is certain of every match of a part. */
interface Digits {
  /** Where it is all of a run: its digits. */
  readonly all: number | null;
  /** Digits of the run it begins with, and of the one it ends with. */
  readonly first: number;
  readonly last: number;
  readonly most: number;
}

const NONE: Digits = { all: null, first: 0, last: 0, most: 0 };
const EMPTY: Digits = { all: 0, first: 0, last: 0, most: 0 };

export function digitsInRun(expression: string): number {
  const parsed = parsePattern(expression, true);
  return parsed.ok ? digitsOf(parsed.pattern.node).most : 0;
}

function digitsOf(node: PatternNode): Digits {
  switch (node.kind) {
    case 'set':
      return ofSet(node.set);
    case 'sequence':
      return node.parts.map(digitsOf).reduce(joined, EMPTY);
    case 'choice':
      return node.parts.map(digitsOf).reduce(either);
    case 'repeat':
      return repeated(digitsOf(node.part), node.min, node.max);
  }
}

function ofSet(set: ByteSet): Digits {
  if (!set.every((has, byte) => !has || (byte >= 0x20 && byte <= 0x39))) return NONE;
  const digits = set.every((has, byte) => !has || byte >= 0x30) ? 1 : 0;
  return { all: digits, first: digits, last: digits, most: digits };
}

function joined(one: Digits, other: Digits): Digits {
  const first = one.all === null ? one.first : one.all + other.first;
  const last = other.all === null ? other.last : other.all + one.last;
  const all = one.all === null || other.all === null ? null : one.all + other.all;
  return { all, first, last, most: Math.max(one.most, other.most, one.last + other.first) };
}

function either(one: Digits, other: Digits): Digits {
  const all = one.all === null || other.all === null ? null : Math.min(one.all, other.all);
  return {
    all,
    first: Math.min(one.first, other.first),
    last: Math.min(one.last, other.last),
    most: Math.min(one.most, other.most),
  };
}

/** Those beyond `min` may be there and add none. */
function repeated(part: Digits, min: number, max: number): Digits {
  const least = Array.from({ length: min }, () => part).reduce(joined, EMPTY);
  return max === min ? least : joined(least, { ...(part.all === null ? NONE : EMPTY) });
}
