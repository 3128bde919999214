/** Finds in one whole text what the detectors of a plan confirm. */
import type { Growth } from './detector.ts';
import type { MaskEngine } from './engine.ts';
import type { Plan } from './plan.ts';

export interface Span {
  readonly detector: number;
  readonly start: number;
  end: number;
}

interface Growing {
  readonly span: Span;
  readonly growth: Growth;
  /** Where what closes it ends. */
  stop: number;
}

export class Finder {
  readonly #engine: MaskEngine;
  readonly #plan: Plan;
  readonly #bytes: Uint8Array;
  readonly #start: number;
  readonly #end: number;
  readonly #spans: Span[] = [];
  readonly #growing: Growing[] = [];
  /** By detector. */
  readonly #last: (Span | null)[];

  /** Of the text that lies in `bytes` from `start` to `end`. */
  constructor(engine: MaskEngine, plan: Plan, bytes: Uint8Array, start: number, end: number) {
    this.#engine = engine;
    this.#plan = plan;
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
    this.#last = engine.detectors.map(() => null);
  }

  /** To be told of needles by their ends, in order. */
  needle(needle: number, at: number): void {
    const detector = this.#engine.detectorOf(needle);
    if (this.#plan.treatments[detector]?.length === 0) return;
    const last = this.#last[detector] ?? null;
    const found = this.#engine.confirm(this.#bytes, this.#start, this.#end, needle, at, last);
    if (found === null) return;
    if (found.closes === true) {
      for (const one of this.#growing) {
        if (one.span.detector === detector && one.span.start < found.start)
          one.stop = Math.min(one.stop, found.end);
      }
      return;
    }
    if (last !== null && found.grows === undefined && found.start < last.end && found.start >= last.start) {
      last.end = Math.max(last.end, found.end);
      return;
    }
    const span = { detector, start: found.start, end: found.end };
    this.#last[detector] = found.grows === undefined ? span : null;
    this.#spans.push(span);
    if (found.grows !== undefined) this.#growing.push({ span, growth: found.grows, stop: this.#end });
  }

  /** By their starts. */
  finish(): readonly Span[] {
    for (const { span, growth, stop } of this.#growing) {
      const limit = Math.min(stop, span.end + growth.maxBytes);
      while (span.end < limit && growth.set[this.#bytes[span.end] ?? 0] === true) span.end += 1;
    }
    return this.#spans.sort((a, b) => a.start - b.start || a.end - b.end);
  }
}
