/**
 * How much each agent may ask: questions are messages to whoever runs a name's servers, and one agent's flood must not
 * keep the others from theirs. A token bucket for each, full at first, two seconds deep.
 */
import { BoundedMap } from '../../core/bounded-map.ts';
import type { Clock } from '../../core/clock.ts';

/** `told`: over the limit, for the first time in a while: worth a record, which the flood behind it is not. */
export type Verdict = 'granted' | 'told' | 'limited';

const BURST_SECONDS = 2;
const TELL_INTERVAL_MS = 1_000;
const MAX_AGENTS = 1024;

interface Bucket {
  tokens: number;
  filledMs: number;
  toldMs: number;
}

export class RateLimit {
  readonly #clock: Clock;
  readonly #buckets = new BoundedMap<number, Bucket>(MAX_AGENTS);
  perSecond: number;

  constructor(clock: Clock, perSecond: number) {
    this.#clock = clock;
    this.perSecond = perSecond;
  }

  take(agentId: number): Verdict {
    const nowMs = this.#clock.monotonic();
    const depth = this.perSecond * BURST_SECONDS;
    let bucket = this.#buckets.get(agentId);
    if (bucket === undefined) {
      bucket = { tokens: depth, filledMs: nowMs, toldMs: Number.NEGATIVE_INFINITY };
      this.#buckets.set(agentId, bucket);
    }
    bucket.tokens = Math.min(depth, bucket.tokens + ((nowMs - bucket.filledMs) / 1000) * this.perSecond);
    bucket.filledMs = nowMs;
    if (bucket.tokens >= 1) {
      bucket.tokens -= 1;
      return 'granted';
    }
    if (nowMs - bucket.toldMs < TELL_INTERVAL_MS) return 'limited';
    bucket.toldMs = nowMs;
    return 'told';
  }
}
