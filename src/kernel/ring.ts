/** Pinned rings of kernel events, decoded. */
import { addon, type NativeRing } from './addon.ts';
import type { KernelEvent } from './events.ts';
import { decodeEvent, layout } from './layout.ts';
import { decodeNamespaceEvent, type NamespaceEvent } from './namespace-layout.ts';
import { pinPaths } from './pins.ts';

/**
 * Waking up once for many events is far cheaper than once for each; 20 ms is short beside the 50 ms by which
 * workers batch their reports.
 */
const GATHER_MICROSECONDS = 20_000;

/** What the daemon is asked about network namespaces: few events, and a connection may wait behind each. */
export class NamespaceRing {
  readonly #native: NativeRing;

  constructor(pinDirectory: string, onEvent: (event: NamespaceEvent) => void) {
    const { size } = layout.sluice_netns_event;
    this.#native = new (addon().Ring)(pinPaths(pinDirectory).map('sluice_ring_netns'), size, 0, () => {
      const bytes = this.#native.consume();
      for (let at = 0; at < bytes.length; at += size) onEvent(decodeNamespaceEvent(bytes, at));
    });
  }

  close(): void {
    this.#native.close();
  }
}

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
    this.#native = new (addon().Ring)(
      pinPaths(pinDirectory).map(name),
      layout.sluice_event.size,
      GATHER_MICROSECONDS,
      () => this.drain(),
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
