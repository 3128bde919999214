/**
 * What the kernel plane tells about flows as they begin, fail and end: the decoded form of what leaves by the
 * `flow` and `deny` rings. Rings may overflow, so any event can be missing; the ledger (flowlog/) copes.
 */
import type { FlowFacts } from './facts.ts';
import type { Technique } from './techniques.ts';

/** The reasons of flow/record.ts that only the kernel plane gives, spelled the same. */
export type KernelReason =
  | 'no_listener'
  | 'proxy_direct'
  | 'udp_denied'
  | 'socket_denied'
  | 'option_denied'
  | 'egress_denied'
  | 'not_delivered'
  | 'state_lost'
  | 'inbound_denied'
  | 'foreign_socket'
  | 'unix_denied';

/**
 * `open`: connect() was redirected to the proxy. `denied`: refused in the kernel. `undelivered`: redirected, but
 * the connection never reached the proxy. `closed`: the accepted socket is gone. `served`: a connection an agent
 * accepted by an inbound rule is over.
 */
export type KernelEventKind = 'open' | 'denied' | 'undelivered' | 'closed' | 'served';

/** What a refusal was of. */
export interface Refusal {
  /** Null only if the kernel plane is newer than this process. */
  readonly technique: Technique | null;
  /** Refusals of the same agent and technique that were not told, since the last that was. */
  readonly suppressed: number;
  /** IPPROTO_* of the socket or packet. */
  readonly protocol: number;
  /** See `sluice_flow.detail` in bpf/api/sluice.h. */
  readonly detail: number;
}

/** A connection to an agent, or the attempt at one. The facts' destination is then the other end. */
export interface Inbound {
  readonly localPort: number;
  /** Id of the rule that let it in; 0 if none did. */
  readonly rule: number;
  /** Bytes. */
  readonly received: number;
  readonly sent: number;
}

export interface KernelEvent {
  readonly kind: KernelEventKind;
  /** Set for `denied` and `undelivered`, null otherwise. */
  readonly reason: KernelReason | null;
  /** `facts.id`. Often it is all that is needed of the facts, which are decoded when they are asked for. */
  readonly id: string;
  readonly facts: FlowFacts;
  /** Set for `denied`, null otherwise. */
  readonly refusal: Refusal | null;
  /** Set for `served`, and for `denied` with the reason `inbound_denied`. */
  readonly inbound: Inbound | null;
  /** When it happened, nanoseconds of CLOCK_BOOTTIME. */
  readonly timeNs: bigint;
}
