/**
 * Flows that wait in the kernel's tables for somebody who will not come: of a connection whose agent and listener are
 * gone, of a datagram that no forwarder read. They have come to their end, and it is told as the kernel would tell it.
 *
 * An entry is taken out only when its flow is over: who told of it might be killed before that is on record.
 */
import type { KernelEvent } from '../kernel/events.ts';
import type { FlowFacts } from '../kernel/facts.ts';

/** Far longer than a connection waits for a worker, which takes it from the queue as fast as it can. */
export const STALE_CONNECTION_NS = 120_000_000_000n;
/** Nobody waits for an answer so long. */
export const STALE_DATAGRAM_NS = 10_000_000_000n;

export interface StaleOptions {
  /** Of the kernel plane: gives the flows from before that are not over, and takes out those that are. */
  readonly takeStale: (
    before: { readonly connectionsNs: bigint; readonly datagramsNs: bigint },
    isOver: (facts: FlowFacts) => boolean,
  ) => readonly FlowFacts[];
  /** Whether the flow is on record, or never will be. */
  readonly isOver: (facts: FlowFacts) => boolean;
  readonly tell: (event: KernelEvent) => void;
}

/** @param nowNs CLOCK_BOOTTIME */
export function endStale(nowNs: bigint, { takeStale, isOver, tell }: StaleOptions): void {
  const before = { connectionsNs: nowNs - STALE_CONNECTION_NS, datagramsNs: nowNs - STALE_DATAGRAM_NS };
  for (const facts of takeStale(before, isOver))
    tell({
      kind: 'undelivered',
      reason: 'not_delivered',
      id: facts.id,
      facts,
      timeNs: nowNs,
      refusal: null,
      inbound: null,
    });
}
