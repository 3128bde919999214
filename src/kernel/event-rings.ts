/** The two rings by which the kernel plane tells of flows and of refusals, for whoever reads both alike. */
import { EventRing, type OnEvent } from './ring.ts';

export class EventRings {
  readonly #flow: EventRing;
  readonly #deny: EventRing;

  constructor(pinDirectory: string, onEvent: OnEvent) {
    this.#flow = new EventRing(pinDirectory, 'sluice_ring_flow', onEvent);
    this.#deny = new EventRing(pinDirectory, 'sluice_ring_deny', onEvent);
  }

  /** Reads what is there now. */
  drain(): void {
    this.#flow.drain();
    this.#deny.drain();
  }

  settled(id: string): void {
    this.#flow.settled(id);
    this.#deny.settled(id);
  }

  release(): void {
    this.#flow.release();
    this.#deny.release();
  }

  /** Events read, and those of both that were let go of before they were settled. */
  counts(): { readonly flow: number; readonly deny: number; readonly forced: number } {
    const { received: flow, forced: ofFlow } = this.#flow;
    const { received: deny, forced: ofDeny } = this.#deny;
    return { flow, deny, forced: ofFlow + ofDeny };
  }

  close(): void {
    this.#flow.close();
    this.#deny.close();
  }
}
