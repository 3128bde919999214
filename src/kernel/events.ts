/**
 * What the kernel plane tells about flows as they begin, fail and end: the decoded form of what leaves by the
 * `flow` and `deny` rings. Rings may overflow, so any event can be missing; the ledger (flowlog/) copes.
 */
import type { FlowFacts } from './facts.ts';

/** The reasons of flow/record.ts that only the kernel plane gives, spelled the same. */
export type KernelReason =
  | 'no_listener'
  | 'proxy_direct'
  | 'udp_denied'
  | 'socket_denied'
  | 'option_denied'
  | 'egress_denied'
  | 'not_delivered'
  | 'state_lost';

/**
 * `open`: connect() was redirected to the proxy. `denied`: refused in the kernel. `undelivered`: redirected, but
 * the connection never reached the proxy. `closed`: the accepted socket is gone.
 */
export type KernelEventKind = 'open' | 'denied' | 'undelivered' | 'closed';

export interface KernelEvent {
  readonly kind: KernelEventKind;
  /** Set for `denied` and `undelivered`, null otherwise. */
  readonly reason: KernelReason | null;
  /** `facts.id`. Often it is all that is needed of the facts, which are decoded when they are asked for. */
  readonly id: string;
  readonly facts: FlowFacts;
  /** When it happened, nanoseconds of CLOCK_BOOTTIME. */
  readonly timeNs: bigint;
}
