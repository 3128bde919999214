/** What the masks of a flow mean for the values of one column: which detectors are asked, and what is done with what they find. */
import type { MaskAction, MaskHit } from './masker.ts';

export interface Treatment {
  readonly rule: string;
  readonly action: MaskAction;
  readonly observed: boolean;
}

export interface Plan {
  /** Of the whole value, whatever is in it: by the strictest of `wholeHits` that do not only observe; null: it is looked into. */
  readonly whole: MaskAction | null;
  readonly wholeHits: readonly MaskHit[];
  /** By the detector's index in the engine; empty: it is not asked. */
  readonly treatments: readonly (readonly Treatment[])[];
  /** Whether any is. */
  readonly searching: boolean;
}

/** Counts hits by rule and detector. */
export class HitCount {
  readonly #hits = new Map<
    string,
    { rule: string; detector: string | null; observed: boolean; count: number }
  >();

  add(detector: string, treatments: readonly Treatment[]): void {
    for (const { rule, observed } of treatments) {
      const key = `${rule}\0${detector}`;
      const hit = this.#hits.get(key);
      if (hit === undefined) this.#hits.set(key, { rule, detector, observed, count: 1 });
      else hit.count += 1;
    }
  }

  get hits(): readonly MaskHit[] {
    return [...this.#hits.values()].map((hit) => ({ ...hit }));
  }
}
