/**
 * Asks the kernel for more instead of sleeping, for some microseconds after something was read: what is said in reply to a short
 * message is then taken without anybody having to wake this process. To wake one on another processor takes some 20 µs where a
 * hypervisor has to deliver the interrupt. It pays where several clients ask at once (docs/benchmarks.md). Costs the processor
 * time between a message and its reply; nothing while nothing is read.
 *
 * The event loop does the asking: with an immediate to run it polls without waiting (libuv, uv_backend_timeout). So whatever
 * else is ready has its turn as always.
 */
export class BusyPoll {
  #forMs = 0;
  #until = 0;
  #turning = false;
  readonly #now: () => number;
  readonly #turn = (): void => {
    if (this.#now() < this.#until) setImmediate(this.#turn);
    else this.#turning = false;
  };

  /** @param now milliseconds, with fractions */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Whether the event loop is kept from sleeping now. */
  get turning(): boolean {
    return this.#turning;
  }

  get microseconds(): number {
    return this.#forMs * 1000;
  }

  /** @param microseconds after each read; 0: never */
  set(microseconds: number): void {
    this.#forMs = microseconds / 1000;
  }

  /** Something was read. */
  touch(): void {
    if (this.#forMs === 0) return;
    this.#until = this.#now() + this.#forMs;
    if (this.#turning) return;
    this.#turning = true;
    setImmediate(this.#turn);
  }
}

/** A process has one event loop. */
export const busyPoll = new BusyPoll();
