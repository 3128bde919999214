/** What became of holds that have ended: counted for ever, and by id for whoever answers too late. */
import type { HoldCounts } from '../api/types.ts';
import { HOLD_OUTCOMES, type HoldOutcome } from '../flow/hold.ts';

/** The newest: a late answer comes within minutes. */
const REMEMBERED_MAX = 256;

interface Ended {
  readonly words: string;
  /** On the clock. */
  readonly atMs: number;
}

export class EndedHolds {
  readonly #counts = new Map(
    HOLD_OUTCOMES.map((outcome): [HoldOutcome, { outcome: HoldOutcome; count: number; seconds: number }] => [
      outcome,
      { outcome, count: 0, seconds: 0 },
    ]),
  );
  /** Oldest first. */
  readonly #byId = new Map<string, Ended>();

  /** @param words what became of it */
  add(id: string, outcome: HoldOutcome, words: string, waitedMs: number): void {
    this.count(outcome, 1, waitedMs);
    this.#byId.set(id, { words, atMs: Date.now() });
    for (const [oldest] of this.#byId) {
      if (this.#byId.size <= REMEMBERED_MAX) break;
      this.#byId.delete(oldest);
    }
  }

  /** @param waitedMs of all of them together */
  count(outcome: HoldOutcome, count: number, waitedMs = 0): void {
    const ended = this.#counts.get(outcome);
    if (ended === undefined) return;
    ended.count += count;
    ended.seconds += waitedMs / 1_000;
  }

  /** What became of this one, and when; null: not known, or not any more. */
  wordsOf(id: string): string | null {
    const ended = this.#byId.get(id);
    if (ended === undefined) return null;
    return `${ended.words}, ${Math.max(0, Math.round((Date.now() - ended.atMs) / 1_000))} s ago`;
  }

  counts(): HoldCounts['ended'] {
    return [...this.#counts.values()].map((one) => ({ ...one }));
  }
}
