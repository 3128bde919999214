/**
 * Turns the kernel's CLOCK_BOOTTIME into wall-clock time.
 *
 * Node has no call for CLOCK_BOOTTIME, but /proc/uptime shows it, cut to hundredths of a second. The moment of
 * boot is therefore known as an upper bound at each look (wall clock less uptime is up to 10 ms too late, and later by
 * as long as this process was kept waiting in the middle of it); the lowest of several looks is kept. A difference larger
 * than that, in the lowest of as many looks, means somebody set the wall clock.
 */
import { readFileSync } from 'node:fs';
import { type Clock, systemClock } from '../core/clock.ts';

/** Looks at first use, and before a clock is taken to be set: enough that one of them falls close behind a tick of the counter. */
const LOOKS = 16;
/** How often the wall clock is checked for having been set. */
const RECHECK_MS = 1_000;
/** What /proc/uptime cuts off, plus what may pass between the two readings. */
const TOLERANCE_MS = 25;

export interface BootClockOptions {
  readonly clock?: Clock;
  /** The text of /proc/uptime. */
  readonly readUptime?: () => string;
}

export class BootClock {
  readonly #clock: Clock;
  readonly #readUptime: () => string;
  #bootMs: number;
  #checkedMs = Number.NEGATIVE_INFINITY;

  constructor(options: BootClockOptions = {}) {
    this.#clock = options.clock ?? systemClock;
    this.#readUptime = options.readUptime ?? (() => readFileSync('/proc/uptime', 'latin1'));
    this.#bootMs = this.#lowest();
    this.#checkedMs = this.#clock.monotonic();
  }

  /** Milliseconds since the Unix epoch of a CLOCK_BOOTTIME in nanoseconds. */
  epochMs(bootNs: bigint): number {
    this.#recheck();
    return this.#bootMs + Number(bootNs / 1_000n) / 1_000;
  }

  /** RFC 3339 with milliseconds, UTC, of a CLOCK_BOOTTIME in nanoseconds. */
  rfc3339(bootNs: bigint): string {
    return new Date(this.epochMs(bootNs)).toISOString();
  }

  /** CLOCK_BOOTTIME now, nanoseconds, as exact as /proc/uptime allows. */
  nowNs(): bigint {
    this.#recheck();
    return BigInt(Math.round((this.#clock.now() - this.#bootMs) * 1_000)) * 1_000n;
  }

  #recheck(): void {
    const nowMs = this.#clock.monotonic();
    if (nowMs - this.#checkedMs < RECHECK_MS) return;
    this.#checkedMs = nowMs;
    const firstMs = this.#look();
    // What looks like a clock that was set may be one look that took long.
    const seenMs = firstMs > this.#bootMs + TOLERANCE_MS ? this.#lowest() : firstMs;
    if (seenMs < this.#bootMs || seenMs > this.#bootMs + TOLERANCE_MS) this.#bootMs = seenMs;
  }

  #lowest(): number {
    let lowest = Number.POSITIVE_INFINITY;
    for (let look = 0; look < LOOKS; look += 1) lowest = Math.min(lowest, this.#look());
    return lowest;
  }

  #look(): number {
    const uptimeS = Number.parseFloat(this.#readUptime());
    return this.#clock.now() - (Number.isFinite(uptimeS) ? uptimeS * 1_000 : 0);
  }
}
