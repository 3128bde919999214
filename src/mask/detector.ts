/**
 * A detector finds one kind of thing in text. It has needles, which the scanner looks for in one pass over all bytes, and
 * confirms in code what is around one: a checksum, a length, what stands beside it.
 *
 * Rules: a needle is in everything the detector finds. confirm() looks at no byte but those in its window, is pure, and
 * does work in proportion to the window at the most, so that all of it is linear in the text.
 */
import type { ByteSet } from '../policy/pattern.ts';

export interface Needle {
  /**
   * A regular expression of bounded length, in what Vectorscan and JavaScript have in common. Before the text and behind it
   * stands a line feed, so that an expression may begin and end with what is not to be there.
   */
  readonly expression: string;
  /** ASCII letters in either case. */
  readonly caseless: boolean;
}

/** The part of a text that may be looked at. */
export interface Window {
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly to: number;
  /** OUTSIDE beyond it, which is no byte of any kind. */
  at(index: number): number;
}

export const OUTSIDE = -1;

export interface Place {
  readonly start: number;
  readonly end: number;
}

export interface Found extends Place {
  /** It goes on behind `end` for as long as bytes are in this set, or until `closes` of the same detector is found. */
  readonly grows?: Growth;
  /** This is the end of what grew. */
  readonly closes?: true;
}

export interface Growth {
  readonly set: ByteSet;
  readonly maxBytes: number;
}

export interface Detector {
  readonly name: string;
  readonly needles: readonly Needle[];
  /** How far before the end of a needle, and behind it, confirm() may look. */
  readonly before: number;
  readonly after: number;
  /**
   * @param end of the needle, in the bytes of the window. @param needle which of them
   * @param last what this detector found last in this text
   */
  confirm(window: Window, end: number, needle: number, last: Place | null): Found | null;
  /** What is hashed: the same for the same thing written in another way. */
  canonical?(found: Uint8Array): Uint8Array;
}

/** An ASCII letter or digit. */
export function isAlnum(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a);
}

export function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}
