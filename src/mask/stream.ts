/**
 * Masks a text as it comes, keeping its length. Held back is what a needle that is yet to come could still lead to: at most
 * as much as the detectors look before and behind a needle.
 *
 * The order of what happens is that of the needles' ends, and each is confirmed when all that its detector may look at is
 * there; so neither depends on how the text was cut.
 */

import type { ByteSet } from '../policy/pattern.ts';
import { paint, strictest } from './action.ts';
import type { Found, Place } from './detector.ts';
import type { MaskEngine } from './engine.ts';
import type { MaskHit, MaskStream } from './masker.ts';
import { HitCount, type Plan } from './plan.ts';
import type { ScanStream } from './scanner.ts';

const STAR = 0x2a;
const NOTHING = new Uint8Array(0);

export function streamOf(engine: MaskEngine, plan: Plan): MaskStream {
  if (plan.whole !== null) return new BlankStream(plan.wholeHits);
  return plan.searching ? new SearchStream(engine, plan) : new PlainStream(plan.wholeHits);
}

/** Of which nothing may be seen. */
class BlankStream implements MaskStream {
  readonly hits: readonly MaskHit[];

  constructor(hits: readonly MaskHit[]) {
    this.hits = hits;
  }

  push(chunk: Uint8Array): Uint8Array {
    return new Uint8Array(chunk.length).fill(STAR);
  }

  end(): Uint8Array {
    return NOTHING;
  }
}

class PlainStream implements MaskStream {
  readonly hits: readonly MaskHit[];

  constructor(hits: readonly MaskHit[]) {
    this.hits = hits;
  }

  push(chunk: Uint8Array): Uint8Array {
    return chunk;
  }

  end(): Uint8Array {
    return NOTHING;
  }
}

/** Something found that may go on: `at` is the next byte to look at, and all places are counted from the text's beginning. */
interface Growing {
  readonly detector: number;
  readonly start: number;
  readonly set: ByteSet;
  at: number;
  stop: number;
}

class SearchStream implements MaskStream {
  readonly #engine: MaskEngine;
  readonly #plan: Plan;
  readonly #scan: ScanStream;
  readonly #count = new HitCount();
  readonly #lastEnds: number[];
  /** What each detector found last and does not grow: start and end in the text. */
  readonly #last: (Place | null)[];
  /** What was not given out yet, as it came and as it will go; the same array while nothing was found. */
  #raw: Uint8Array = NOTHING;
  #out: Uint8Array = NOTHING;
  /** Where in the text `#raw` begins, and where it ends. */
  #base = 0;
  #total = 0;
  #ended = false;
  /** Needles of which not all is there that may be looked at: which, and where in the text they end. */
  #waiting: (readonly [needle: number, end: number])[] = [];
  #growing: Growing[] = [];

  constructor(engine: MaskEngine, plan: Plan) {
    this.#engine = engine;
    this.#plan = plan;
    this.#scan = engine.scanner.stream();
    this.#lastEnds = engine.detectors.map(() => 0);
    this.#last = engine.detectors.map(() => null);
  }

  get hits(): readonly MaskHit[] {
    return [...this.#plan.wholeHits, ...this.#count.hits];
  }

  push(chunk: Uint8Array): Uint8Array {
    if (chunk.length === 0) return NOTHING;
    const found = this.#scan.push(chunk);
    const clean = this.#out === this.#raw;
    this.#raw = Buffer.concat([this.#raw, chunk]);
    this.#out = clean ? this.#raw : Buffer.concat([this.#out, chunk]);
    this.#wait(found);
    this.#total += chunk.length;
    return this.#give();
  }

  end(): Uint8Array {
    this.#wait(this.#scan.end());
    this.#ended = true;
    return this.#give();
  }

  #wait(found: Uint32Array | null): void {
    if (found === null) return;
    for (let i = 0; i < found.length; i += 2)
      this.#waiting.push([found[i] ?? 0, this.#total + (found[i + 1] ?? 0)]);
  }

  #give(): Uint8Array {
    const { after, before } = this.#engine;
    let done = 0;
    for (const [needle, end] of this.#waiting) {
      if (!this.#ended && end + after > this.#total) break;
      this.#confirm(needle, end);
      done += 1;
    }
    this.#waiting.splice(0, done);
    const next = this.#waiting[0]?.[1] ?? this.#total;
    const settled = this.#ended ? this.#total : Math.max(this.#base, next - before);
    this.#grow(settled);
    const given = this.#out.subarray(0, settled - this.#base);
    const clean = this.#out === this.#raw;
    this.#raw = this.#raw.subarray(settled - this.#base);
    this.#out = clean ? this.#raw : this.#out.subarray(settled - this.#base);
    this.#base = settled;
    return given;
  }

  #confirm(needle: number, end: number): void {
    const detector = this.#engine.detectorOf(needle);
    const treatments = this.#plan.treatments[detector] ?? [];
    if (treatments.length === 0) return;
    const base = this.#base;
    const found = this.#engine.confirm(
      this.#raw,
      0,
      this.#raw.length,
      needle,
      end - base,
      this.#lastOf(detector),
    );
    if (found === null) return;
    if (found.closes === true) {
      for (const one of this.#growing) {
        if (one.detector === detector && one.start < base + found.start)
          one.stop = Math.min(one.stop, base + found.end);
      }
      return;
    }
    this.#remember(detector, found);
    const last = this.#lastEnds[detector] ?? 0;
    if (base + found.start >= last) this.#count.add(this.#engine.detectors[detector]?.name ?? '', treatments);
    this.#lastEnds[detector] = Math.max(last, base + found.end);
    const action = strictest(treatments.filter(({ observed }) => !observed).map(({ action }) => action));
    if (action === null) return;
    if (found.grows === undefined) {
      paint(
        this.#own(),
        this.#raw,
        found.start,
        found.end,
        action,
        this.#engine.keys,
        this.#engine.canonical(detector),
      );
      return;
    }
    // Where it ends is not known yet, so nothing can be kept of it and nothing be made of it as a whole.
    this.#own().fill(STAR, found.start, found.end);
    const { set, maxBytes } = found.grows;
    const at = base + found.end;
    this.#growing.push({ detector, start: base + found.start, set, at, stop: at + maxBytes });
  }

  #lastOf(detector: number): Place | null {
    const last = this.#last[detector] ?? null;
    return last === null ? null : { start: last.start - this.#base, end: last.end - this.#base };
  }

  /** One that touches what was found before is part of it. */
  #remember(detector: number, found: Found): void {
    const last = this.#last[detector] ?? null;
    const [start, end] = [this.#base + found.start, this.#base + found.end];
    if (found.grows !== undefined) this.#last[detector] = null;
    else if (last !== null && start < last.end && start >= last.start)
      this.#last[detector] = { start: last.start, end: Math.max(last.end, end) };
    else this.#last[detector] = { start, end };
  }

  /** What may be written to: chunks are their sender's. */
  #own(): Uint8Array {
    if (this.#out === this.#raw) this.#out = Uint8Array.from(this.#raw);
    return this.#out;
  }

  /** Up to where it is settled what closes what. */
  #grow(settled: number): void {
    if (this.#growing.length === 0) return;
    const out = this.#own();
    this.#growing = this.#growing.filter((one) => {
      const limit = Math.min(settled, one.stop);
      while (one.at < limit && one.set[this.#raw[one.at - this.#base] ?? 0] === true) {
        out[one.at - this.#base] = STAR;
        one.at += 1;
      }
      this.#lastEnds[one.detector] = Math.max(this.#lastEnds[one.detector] ?? 0, one.at);
      return one.at >= settled && one.at < one.stop;
    });
  }
}
