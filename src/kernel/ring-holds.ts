/**
 * Which events of a ring may be let go of. The kernel keeps one position, so they go in order: behind one that is
 * held, all of them stay. What is held is known by a flow id and is let go of when that is settled, or when so much
 * lies behind it that the ring would fill up: losing new events would be worse than keeping old ones twice.
 */

interface Hold {
  /** Number of the event, counted from the first that was read. */
  readonly event: number;
  readonly id: string;
}

export class RingHolds {
  readonly #maxHeld: number;
  readonly #unsettled = new Set<string>();
  #holds: Hold[] = [];
  /** Of `#holds`: those before it are over. */
  #next = 0;
  #read = 0;
  #released = 0;
  #forced = 0;

  /** @param maxHeld events that may lie in the ring behind the oldest that is held, itself included */
  constructor(maxHeld: number) {
    this.#maxHeld = maxHeld;
  }

  /** One more event was read; `id` where it is held. */
  read(id: string | null): void {
    if (id !== null) {
      this.#holds.push({ event: this.#read, id });
      this.#unsettled.add(id);
    }
    this.#read += 1;
  }

  settled(id: string): void {
    this.#unsettled.delete(id);
  }

  /** How many events can be let go of since it was last asked. */
  release(): number {
    let oldest = this.#oldest();
    while (oldest !== null && this.#read - oldest.event > this.#maxHeld) {
      this.#unsettled.delete(oldest.id);
      this.#forced += 1;
      oldest = this.#oldest();
    }
    const until = oldest?.event ?? this.#read;
    const count = until - this.#released;
    this.#released = until;
    return count;
  }

  /** Events that were let go of unsettled. */
  get forced(): number {
    return this.#forced;
  }

  #oldest(): Hold | null {
    for (;;) {
      const hold = this.#holds[this.#next];
      if (hold === undefined) {
        this.#holds = [];
        this.#next = 0;
        return null;
      }
      if (this.#unsettled.has(hold.id)) return hold;
      this.#next += 1;
      // Taken out many at a time: each time is a copy of the rest.
      if (this.#next >= 4_096) {
        this.#holds.splice(0, this.#next);
        this.#next = 0;
      }
    }
  }
}
