/**
 * What stands where in every match of an expression, as far as the scanner can tell kinds of bytes apart at once: how many digits
 * there are, and segments, of which each place is of a kind. It looks for an expression of many digits only in texts that have as many,
 * and each of the segments (native/src/outline.h).
 *
 * On the safe side: null for what is not understood, or too common to be worth a look.
 */

import type { Outline } from '../kernel/addon.ts';
import { type ByteSet, type PatternNode, parsePattern } from '../policy/pattern.ts';
import { isAlnum, isDigit } from './detector.ts';

/** Fewer are in too many texts. */
const DIGITS_MIN = 8;
/** Of a segment, which is no use with fewer. */
const SEGMENT_DIGITS_MIN = 3;
/** A segment may begin at each of 33 places of 64. */
const SEGMENT_MAX_BYTES = 31;
const SEGMENTS_MAX = 4;

const POINT = 0x2e;

/** By the letters the scanner knows them by. Each set of bytes is of the first kind that has all of it. */
const KINDS: readonly (readonly [letter: string, has: (byte: number) => boolean])[] = [
  ['d', isDigit],
  ['j', (byte) => byte === 0x20 || byte === 0x2d],
  ['s', (byte) => byte >= 0x20 && byte <= 0x2f],
  ['v', (byte) => !isAlnum(byte) && byte !== POINT],
  ['w', (byte) => !isAlnum(byte)],
  // Letters whose case is of no matter are all of this kind.
  ['a', () => true],
];

/** Of an expression whose letters, if any, match in either case or not. */
export function outlineOf(expression: string): Outline | null {
  const parsed = parsePattern(expression, true);
  if (!parsed.ok) return null;
  const digits = leastDigits(parsed.pattern.node);
  if (digits < DIGITS_MIN) return null;
  const segments = [...new Set(piecesOf(parsed.pattern.node).map(cut))]
    .filter((segment) => digitsIn(segment) >= SEGMENT_DIGITS_MIN)
    .filter((segment, _, all) => !all.some((other) => other !== segment && other.includes(segment)))
    .sort((one, other) => digitsIn(other) - digitsIn(one))
    .slice(0, SEGMENTS_MAX);
  return segments.length === 0 ? null : { digits, segments };
}

function digitsIn(segment: string): number {
  return segment.replaceAll(/[^d]/g, '').length;
}

/** What any byte may be at the ends says nothing. */
function cut(segment: string): string {
  return segment.replace(/^a+/, '').slice(0, SEGMENT_MAX_BYTES).replace(/a+$/, '');
}

/** The segments of a part, in their order, where there may be anything between two. */
function piecesOf(node: PatternNode): readonly string[] {
  switch (node.kind) {
    case 'set':
      return [kindOf(node.set)];
    case 'sequence':
      return joined(node.parts.map(piecesOf));
    case 'choice': {
      const [first = [''], ...others] = node.parts.map(piecesOf);
      const same = others.every((other) => other.length === 1 && other[0] === first[0]);
      return same && first.length === 1 ? first : ['', ''];
    }
    case 'repeat': {
      const pieces = joined(Array.from({ length: node.min }, () => piecesOf(node.part)));
      // Before the others stands the least of them, and before what follows stand as many.
      return node.min === node.max ? pieces : [...pieces, pieces.at(-1) ?? ''];
    }
  }
}

function joined(parts: readonly (readonly string[])[]): readonly string[] {
  const pieces = [''];
  for (const [first = '', ...others] of parts) {
    pieces.push(`${pieces.pop() ?? ''}${first}`);
    pieces.push(...others);
  }
  return pieces;
}

function kindOf(set: ByteSet): string {
  return KINDS.find(([, has]) => set.every((member, byte) => !member || has(byte)))?.[0] ?? 'a';
}

function leastDigits(node: PatternNode): number {
  switch (node.kind) {
    case 'set':
      return kindOf(node.set) === 'd' ? 1 : 0;
    case 'sequence':
      return node.parts.reduce((sum, part) => sum + leastDigits(part), 0);
    case 'choice':
      return Math.min(...node.parts.map(leastDigits));
    case 'repeat':
      return node.min * leastDigits(node.part);
  }
}
