/** Pinned rings of kernel events, decoded. An event stays in its ring until nothing depends on it any more. */
import { addon, type NativeRing } from './addon.ts';
import type { KernelEvent } from './events.ts';
import { decodeEvent, layout } from './layout.ts';
import { decodeNamespaceEvent, type NamespaceEvent } from './namespace-layout.ts';
import { pinPaths } from './pins.ts';
import { RingHolds } from './ring-holds.ts';

/**
 * Waking up once for many events is far cheaper than once for each; 20 ms is short beside the 50 ms by which
 * workers batch their reports.
 */
const GATHER_MICROSECONDS = 20_000;
/** BPF_RINGBUF_HDR_SZ. */
const RING_HEAD_BYTES = 8;

/** What the daemon is asked about network namespaces: few events, and a connection may wait behind each. */
export class NamespaceRing {
  readonly #native: NativeRing;

  constructor(pinDirectory: string, onEvent: (event: NamespaceEvent) => void) {
    const { size } = layout.sluice_netns_event;
    this.#native = new (addon().Ring)(pinPaths(pinDirectory).map('sluice_ring_netns'), size, 0, () => {
      const bytes = this.#native.consume();
      // What is not answered is asked again.
      this.#native.commit(bytes.length / size);
      for (let at = 0; at < bytes.length; at += size) onEvent(decodeNamespaceEvent(bytes, at));
    });
  }

  close(): void {
    this.#native.close();
  }
}

/**
 * Takes one event; whether it is to stay in the ring until `settled` is called with its id. It is then read again by
 * the next daemon if this one does not live to see that.
 */
export type OnEvent = (event: KernelEvent) => boolean;

export class EventRing {
  readonly #native: NativeRing;
  readonly #onEvent: OnEvent;
  readonly #holds: RingHolds;
  #received = 0;

  constructor(pinDirectory: string, name: 'sluice_ring_flow' | 'sluice_ring_deny', onEvent: OnEvent) {
    this.#onEvent = onEvent;
    this.#native = new (addon().Ring)(
      pinPaths(pinDirectory).map(name),
      layout.sluice_event.size,
      GATHER_MICROSECONDS,
      () => this.drain(),
    );
    const room = Math.floor(this.#native.size / (layout.sluice_event.size + RING_HEAD_BYTES));
    // The other half is for a storm.
    this.#holds = new RingHolds(Math.floor(room / 2));
  }

  /** Events read since the daemon started. */
  get received(): number {
    return this.#received;
  }

  /** Events that were let go of before they were settled, because the ring had no more room to keep them. */
  get forced(): number {
    return this.#holds.forced;
  }

  /** Reads what is there now, without waiting to be called. */
  drain(): void {
    const bytes = this.#native.consume();
    for (let at = 0; at < bytes.length; at += layout.sluice_event.size) {
      const event = decodeEvent(bytes, at);
      this.#holds.read(event !== null && this.#onEvent(event) ? event.id : null);
      this.#received += 1;
    }
    this.release();
  }

  settled(id: string): void {
    this.#holds.settled(id);
  }

  /** Lets go of what is settled; cheap, and best called once for many. */
  release(): void {
    const count = this.#holds.release();
    if (count > 0) this.#native.commit(count);
  }

  close(): void {
    this.#native.close();
  }
}
