/**
 * The detectors that the masks of a policy use, with the scanner for all their needles. Made once for each policy and
 * shared by its flows; holds no state of any of them.
 */

import { BatchScanner, type Expression } from '../kernel/scanner.ts';
import type { CompiledPolicy } from '../policy/types.ts';
import { MaskKeys } from './action.ts';
import { customDetector } from './custom.ts';
import { type Detector, type Found, type Needle, OUTSIDE, type Place, type Window } from './detector.ts';
import { BUILT_IN } from './detectors/index.ts';
import { outlineOf } from './outline.ts';
import type { Scanner } from './scanner.ts';

export type MakeScanner = (needles: readonly Needle[]) => Scanner;

type MaskingPolicy = Pick<CompiledPolicy, 'masks' | 'detectors' | 'maskKeys'>;

const withOutlines = (needles: readonly Needle[]): Expression[] =>
  needles.map((needle) => ({ ...needle, outline: outlineOf(needle.expression) }));
const nativeScanner: MakeScanner = (needles) => new BatchScanner(withOutlines(needles));

/** Where masks go by columns alone. */
const FINDS_NOTHING: Scanner = {
  scan: () => null,
  stream: () => ({ push: () => null, end: () => null }),
};

export class MaskEngine {
  readonly detectors: readonly Detector[];
  readonly scanner: Scanner;
  readonly keys: MaskKeys;
  /** The most that any detector looks at before the end of a needle, and behind it. */
  readonly before: number;
  readonly after: number;
  /** By needle: the detector, and which of its needles it is. */
  readonly #owners: readonly (readonly [detector: number, needle: number])[];
  readonly #window = new TextWindow();

  constructor(policy: MaskingPolicy, makeScanner: MakeScanner = nativeScanner) {
    this.detectors = detectorsOf(policy);
    this.#owners = this.detectors.flatMap(({ needles }, detector) =>
      needles.map((_, needle) => [detector, needle] as const),
    );
    const needles = this.detectors.flatMap((detector) => detector.needles);
    this.scanner = needles.length === 0 ? FINDS_NOTHING : makeScanner(needles);
    this.keys = new MaskKeys(policy.maskKeys);
    this.before = Math.max(0, ...this.detectors.map(({ before }) => before));
    this.after = Math.max(0, ...this.detectors.map(({ after }) => after));
  }

  /** As by `new`, but for the searching, which is compiled beside the event loop: it takes some hundred milliseconds. */
  static async prepared(policy: MaskingPolicy): Promise<MaskEngine> {
    const needles = detectorsOf(policy).flatMap((detector) => detector.needles);
    if (needles.length === 0) return new MaskEngine(policy);
    const scanner = await BatchScanner.compiled(withOutlines(needles));
    return new MaskEngine(policy, () => scanner);
  }

  indexOf(name: string): number {
    return this.detectors.findIndex((detector) => detector.name === name);
  }

  /** The detector's index that a needle belongs to. */
  detectorOf(needle: number): number {
    return this.#owners[needle]?.[0] ?? 0;
  }

  /**
   * @param bytes of which the text is the part from `start` to `end`; places are in `bytes`, too
   * @param at where the needle ends
   * @param last what its detector found last in this text
   */
  confirm(
    bytes: Uint8Array,
    start: number,
    end: number,
    needle: number,
    at: number,
    last: Place | null,
  ): Found | null {
    const [index, own] = this.#owners[needle] ?? [0, 0];
    const detector = this.detectors[index];
    if (detector === undefined) return null;
    this.#window.bytes = bytes;
    this.#window.from = Math.max(start, at - detector.before);
    this.#window.to = Math.min(end, at + detector.after);
    return detector.confirm(this.#window, at, own, last);
  }

  canonical(index: number): (found: Uint8Array) => Uint8Array {
    return this.detectors[index]?.canonical ?? same;
  }
}

function detectorsOf(policy: MaskingPolicy): Detector[] {
  const used = new Set(policy.masks.flatMap(({ detectors }) => detectors));
  return [
    ...BUILT_IN.filter(({ name }) => used.has(name)),
    ...policy.detectors.filter(({ name }) => used.has(name)).map(customDetector),
  ];
}

function same(found: Uint8Array): Uint8Array {
  return found;
}

class TextWindow implements Window {
  bytes: Uint8Array = new Uint8Array(0);
  from = 0;
  to = 0;

  at(index: number): number {
    return index < this.from || index >= this.to ? OUTSIDE : (this.bytes[index] ?? OUTSIDE);
  }
}
