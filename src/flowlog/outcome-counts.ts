/** How many flows ended how: what a monitor asks for, where the flow log has each of them. */
import type { Disposition, FlowRecord, Reason } from '../flow/record.ts';

export interface OutcomeCount {
  readonly disposition: Disposition;
  readonly reason: Reason;
  readonly count: number;
}

/** Bounded by its words: dispositions and reasons are fixed sets. */
export class OutcomeCounts {
  readonly #counts = new Map<string, { disposition: Disposition; reason: Reason; count: number }>();

  count({ disposition, reason }: Pick<FlowRecord, 'disposition' | 'reason'>): void {
    const key = `${disposition} ${reason}`;
    const known = this.#counts.get(key);
    if (known === undefined) this.#counts.set(key, { disposition, reason, count: 1 });
    else known.count += 1;
  }

  /** In the order in which each was first seen. */
  all(): readonly OutcomeCount[] {
    return [...this.#counts.values()].map((entry) => ({ ...entry }));
  }
}
