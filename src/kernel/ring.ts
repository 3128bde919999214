/** A pinned ring of kernel events, decoded. */
import { addon, type NativeRing } from './addon.ts';
import type { KernelEvent } from './events.ts';
import { decodeEvent, layout } from './layout.ts';
import { pinPaths } from './pins.ts';

export class EventRing {
  readonly #native: NativeRing;
  readonly #onEvents: (events: readonly KernelEvent[]) => void;
  #received = 0;

  constructor(
    pinDirectory: string,
    name: 'sluice_ring_flow' | 'sluice_ring_deny',
    onEvents: (events: readonly KernelEvent[]) => void,
  ) {
    this.#onEvents = onEvents;
    this.#native = new (addon().Ring)(pinPaths(pinDirectory).map(name), layout.sluice_event.size, () =>
      this.drain(),
    );
  }

  /** Events read since the daemon started. */
  get received(): number {
    return this.#received;
  }

  /** Reads what is there now, without waiting to be called. */
  drain(): void {
    const bytes = this.#native.consume();
    const events: KernelEvent[] = [];
    for (let at = 0; at < bytes.length; at += layout.sluice_event.size) {
      const event = decodeEvent(bytes, at);
      if (event !== null) events.push(event);
    }
    this.#received += events.length;
    if (events.length > 0) this.#onEvents(events);
  }

  close(): void {
    this.#native.close();
  }
}
