/** Masks whole values by a plan. */
import { paint, replacement, strictest, wholeValue } from './action.ts';
import type { MaskEngine } from './engine.ts';
import { Finder, type Span } from './finder.ts';
import type { MaskAction, MaskedValue, MaskStream, ValueMasker } from './masker.ts';
import { HitCount, type Plan } from './plan.ts';
import { streamOf } from './stream.ts';

/** A longer text is scanned in pieces, so that what a hostile one makes the scanner report stays small. */
const PIECE_BYTES = 16 * 1024;

const ONE = new Uint32Array(3);
const WANTED = new Uint8Array([1]);

export class TextMasker implements ValueMasker {
  readonly #engine: MaskEngine;
  readonly plan: Plan;

  constructor(engine: MaskEngine, plan: Plan) {
    this.#engine = engine;
    this.plan = plan;
  }

  get whole(): MaskAction | null {
    return this.plan.whole;
  }

  value(bytes: Uint8Array): MaskedValue | null {
    if (this.plan.whole !== null || !this.plan.searching) return this.unsearched(bytes);
    const finder = new Finder(this.#engine, this.plan, bytes, 0, bytes.length);
    if (bytes.length > PIECE_BYTES) this.#scanPieces(bytes, finder);
    else {
      ONE[1] = bytes.length;
      const found = this.#engine.scanner.scan(bytes, ONE, 1, WANTED);
      if (found !== null)
        for (let i = 0; i < found.length; i += 3) finder.needle(found[i + 1] ?? 0, found[i + 2] ?? 0);
    }
    return this.masked(bytes, 0, bytes.length, finder.finish());
  }

  #scanPieces(bytes: Uint8Array, finder: Finder): void {
    const scan = this.#engine.scanner.stream();
    const tell = (found: Uint32Array | null, base: number): void => {
      if (found === null) return;
      for (let i = 0; i < found.length; i += 2) finder.needle(found[i] ?? 0, base + (found[i + 1] ?? 0));
    };
    for (let at = 0; at < bytes.length; at += PIECE_BYTES)
      tell(scan.push(bytes.subarray(at, at + PIECE_BYTES)), at);
    tell(scan.end(), bytes.length);
  }

  stream(): MaskStream {
    return streamOf(this.#engine, this.plan);
  }

  digest(bytes: Uint8Array): Uint8Array {
    const { whole } = this.plan;
    if (whole?.kind !== 'hash') throw new Error('a digest of what is not hashed whole');
    return this.#engine.keys.digest(whole.key, bytes);
  }

  /** What becomes of a value into which nobody looks. */
  unsearched(bytes: Uint8Array): MaskedValue | null {
    const { whole, wholeHits } = this.plan;
    if (whole !== null) return { bytes: wholeValue(bytes, whole, this.#engine.keys), hits: wholeHits };
    return wholeHits.length === 0 ? null : { bytes, hits: wholeHits };
  }

  /** What becomes of the text in `bytes` from `start` to `end` in which these were found. */
  masked(bytes: Uint8Array, start: number, end: number, spans: readonly Span[]): MaskedValue | null {
    // A value that is only observed is given back itself.
    const text = start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end);
    if (spans.length === 0)
      return this.plan.wholeHits.length === 0 ? null : { bytes: text, hits: this.plan.wholeHits };
    const hits = [...this.plan.wholeHits, ...this.#hitsOf(spans)];
    const places = spans.flatMap((span) => {
      const action = this.#actionOn(span.detector);
      return action === null
        ? []
        : [{ start: span.start - start, end: span.end - start, detector: span.detector, action }];
    });
    return { bytes: places.length === 0 ? text : this.#rewritten(text, places), hits };
  }

  #actionOn(detector: number): MaskAction | null {
    const treatments = this.plan.treatments[detector] ?? [];
    return strictest(treatments.filter(({ observed }) => !observed).map(({ action }) => action));
  }

  #hitsOf(spans: readonly Span[]): HitCount['hits'] {
    const count = new HitCount();
    const ends = new Map<number, number>();
    for (const { detector, start, end } of spans) {
      const last = ends.get(detector) ?? 0;
      if (start >= last)
        count.add(this.#engine.detectors[detector]?.name ?? '', this.plan.treatments[detector] ?? []);
      ends.set(detector, Math.max(last, end));
    }
    return count.hits;
  }

  #rewritten(text: Uint8Array, places: readonly Place[]): Uint8Array | null {
    if (places.some(({ action }) => action.kind === 'null')) return null;
    if (places.every(({ action }) => action.kind === 'redact' || action.kind === 'partial')) {
      const into = Uint8Array.from(text);
      for (const place of places)
        paint(
          into,
          text,
          place.start,
          place.end,
          place.action,
          this.#engine.keys,
          this.#engine.canonical(place.detector),
        );
      return into;
    }
    const parts: Uint8Array[] = [];
    let at = 0;
    for (const { start, end, action, detector } of merged(places)) {
      const found = text.subarray(start, end);
      parts.push(
        text.subarray(at, start),
        replacement(found, action, this.#engine.keys, this.#engine.canonical(detector)),
      );
      at = end;
    }
    return Buffer.concat([...parts, text.subarray(at)]);
  }
}

interface Place {
  readonly start: number;
  readonly end: number;
  readonly detector: number;
  readonly action: MaskAction;
}

/** Those that overlap become one, treated by the strictest of their actions. */
function merged(places: readonly Place[]): Place[] {
  const result: Place[] = [];
  for (const place of places) {
    const last = result.at(-1);
    if (last === undefined || place.start >= last.end) result.push(place);
    else {
      const action = strictest([last.action, place.action]) ?? last.action;
      result[result.length - 1] = { ...last, end: Math.max(last.end, place.end), action };
    }
  }
  return result;
}
