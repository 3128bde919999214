/**
 * The flow record: one per flow, written once when the flow has ended, never changed after.
 *
 * These names are an interface: they stand in the store, in NDJSON and in `sluice flows --output json`.
 * A field may be added; none is renamed or given another meaning without a new `schema` number.
 */
import type { Technique } from '../kernel/techniques.ts';
import type { FlowHold } from './hold.ts';

export const FLOW_RECORD_SCHEMA = 1;

/** Every way a flow can have been protected. */
export const DISPOSITIONS = [
  'upgraded',
  'terminated',
  'passthrough',
  'tunnelled',
  'exempt',
  'resolved',
  'denied',
  'unknown',
] as const;

/**
 * How the flow was protected. `unknown`: the worker or daemon that carried it died before it could say; something may
 * have crossed, protected as policy had decided.
 */
export type Disposition = (typeof DISPOSITIONS)[number];

/** What was recognised in the agent's first bytes, or what policy said without looking. */
export type Protocol = 'http' | 'postgres' | 'tls' | 'dns' | 'opaque' | 'unknown';

/** `allow`: carried as decided; `deny`: refused by a decision; `error`: allowed, but it could not be carried. */
export type Verdict = 'allow' | 'deny' | 'error';

/**
 * Why a flow ended as it did. Stable; documented in docs/flow-log.md.
 *
 * `ok` is a flow that ran and was closed by either end in good order.
 */
export type Reason =
  | 'ok'
  // Refused by the kernel plane.
  | 'no_listener' // no marked listener in that namespace: the daemon is down or not here
  | 'proxy_direct' // an agent asked for the proxy's own address, or to listen there
  | 'udp_denied'
  | 'socket_denied' // a socket type agents may not have: raw, SCTP, UDP-Lite, ping, MPTCP, …
  | 'option_denied' // a socket option that could route around the proxy
  | 'egress_denied' // a packet that was about to leave by another way than the proxy
  | 'not_delivered' // connect() never reached the proxy: no port, no memory, backlog full, aborted
  | 'state_lost' // the kernel could not save the original destination
  | 'inbound_denied' // somebody asked an agent for service, or it set out to serve, and no inbound rule allows it
  | 'foreign_socket' // a socket somebody who is no agent opened, in an agent's hands
  | 'unix_denied' // a Unix socket that policy closes to agents
  // Refused by the worker.
  | 'not_an_agent' // somebody else connected to the proxy
  | 'policy_denied' // a deny rule
  | 'no_rule' // nothing allows it
  | 'undetected' // policy needs to know the protocol and it was not recognised in time
  | 'agent_tls_denied' // the agent speaks TLS itself and no rule lets that pass
  | 'replication_denied' // a PostgreSQL client asks for replication and no rule allows that
  | 'cancel_denied' // a PostgreSQL CancelRequest for no session the agent has there
  | 'protocol_error' // the agent's or server's bytes break the protocol
  | 'name_required' // no server name to verify: none in policy, none in the protocol
  | 'overloaded' // the worker is at its limit of flows or descriptors
  // The server's side.
  | 'connect_refused'
  | 'connect_timeout'
  | 'connect_unreachable'
  | 'connect_failed'
  | 'tls_not_offered' // the server does not speak TLS
  | 'tls_certificate_expired'
  | 'tls_certificate_not_yet_valid'
  | 'tls_self_signed'
  | 'tls_unknown_ca'
  | 'tls_name_mismatch'
  | 'tls_certificate_invalid' // any other failure to verify
  | 'tls_client_certificate_required'
  | 'tls_handshake_failed'
  | 'tls_handshake_timeout'
  | 'tls_handshake_reset'
  // After it was established.
  | 'agent_reset'
  | 'server_reset'
  | 'idle_timeout'
  // DNS.
  | 'dns_failed' // no resolver gave an answer that could be believed
  // Our own fault.
  | 'drain_timeout' // its worker was replaced, and it did not end in the time it was given
  | 'worker_died'
  | 'daemon_died'
  | 'lost' // the worker closed it and never reported
  | 'internal_error';

export interface FlowRecord {
  readonly schema: typeof FLOW_RECORD_SCHEMA;
  readonly id: string;
  /** When the agent connected, RFC 3339 with milliseconds, UTC. */
  readonly time: string;
  /** Name of the agent in the policy; null if it is none of the policy's. */
  readonly agent: string | null;
  /** `inbound`: somebody connected to the agent; `src` is the agent all the same, `dst` the other end. */
  readonly direction: 'outbound' | 'inbound';
  readonly disposition: Disposition;
  readonly verdict: Verdict;
  readonly reason: Reason;
  /** One sentence for people; never payload. */
  readonly detail: string | null;
  /** What was tried, for refusals in the kernel; null otherwise. Stable; documented in docs/flow-log.md. */
  readonly technique: Technique | null;
  /**
   * Refusals of the same agent and technique that have no record of their own, since the last that has one; 0 for
   * whatever is no refusal in the kernel.
   */
  readonly suppressed: number;
  readonly rule: string | null;
  readonly policy_revision: string;
  readonly protocol: Protocol;
  /** Enforcement tier in force when it was made. */
  readonly tier: string;
  readonly src: FlowSource;
  readonly dst: FlowDestination;
  readonly identity: FlowIdentity;
  /** The TLS connection to the server; null when none was made. */
  readonly tls: FlowTls | null;
  /** What was asked inside it; null where that was not read. */
  readonly operations: FlowOperations | null;
  /** Null where no mask holds. */
  readonly masks: FlowMasks | null;
  readonly bytes: { readonly agent_to_server: number; readonly server_to_agent: number };
  /** Milliseconds. `connect_ms`: TCP to the server; `tls_ms`: handshake; `total_ms`: from accept to end. */
  readonly timings: {
    readonly connect_ms: number | null;
    readonly tls_ms: number | null;
    readonly total_ms: number;
  };
  /** Number of the worker that carried it; null if none did. */
  readonly worker: number | null;
}

export interface FlowSource {
  readonly pid: number | null;
  readonly uid: number | null;
  readonly gid: number | null;
  /** Start of the process, RFC 3339. */
  readonly started: string | null;
  readonly exe: string | null;
  readonly exe_sha256: string | null;
  readonly cgroup: string | null;
  readonly unit: string | null;
  /** Address and port the proxy saw; null if it never got there. */
  readonly ip: string | null;
  readonly port: number | null;
}

export interface FlowDestination {
  /** What the agent asked for. */
  readonly ip: string | null;
  readonly port: number | null;
  /** Name the server was verified as, or that the agent gave; null if there was none. */
  readonly host: string | null;
  /** Where the name came from. */
  readonly host_source: 'policy' | 'http-host' | 'sni' | 'dns' | null;
  /** Name of the destination in the policy. */
  readonly name: string | null;
  /** What was connected to in the end (policy may map the port). */
  readonly upstream_port: number | null;
}

export interface FlowIdentity {
  readonly spiffe_id: string | null;
  readonly selectors: readonly string[];
  readonly groups: readonly string[];
}

/** Counts of what masks found, columns that are masked whole included. */
export interface FlowMasks {
  readonly masked: number;
  /** By masks that only observe. */
  readonly observed: number;
  /**
   * Statements, parameters and COPYs that were denied: by strict masks, because a value could not be masked where it stands, and, where
   * there are no rules about operations, because they were not understood.
   */
  readonly denied: number;
}

/** Counts of operations: SQL statements, so far. */
export interface FlowOperations {
  readonly total: number;
  /** By a rule, because they were not understood, or because they were held and not approved. */
  readonly denied: number;
  /** That had to wait for somebody's answer. */
  readonly held: number;
  /** Of those, the ones that were let pass. */
  readonly approved: number;
  /** That a rule which only observes would have denied. */
  readonly observed: number;
  /** Texts and executions that had to wait, the newest 16, in the order in which that ended. */
  readonly holds: readonly FlowHold[];
}

export interface FlowTls {
  /** `TLSv1.3`, `TLSv1.2`. */
  readonly version: string | null;
  readonly cipher: string | null;
  /** Key-exchange group, `X25519MLKEM768` when hybrid. */
  readonly group: string | null;
  readonly server_name: string | null;
  readonly resumed: boolean;
  readonly alpn: string | null;
  /** SHA-256 of the server's leaf certificate, hex. */
  readonly peer_sha256: string | null;
  /** SNI of the agent's own ClientHello (passthrough). */
  readonly agent_sni: string | null;
  /** Whether the server said that it had sent all; false: a FIN without that. null: it did not end, or not by itself. */
  readonly close_notify: boolean | null;
}

/**
 * What a worker reports when a flow is over: the record less what only the daemon knows (identity, executable,
 * cgroup path). The daemon completes it with the attested facts, by `id`.
 */
export interface WorkerFlowReport
  extends Omit<
    FlowRecord,
    'schema' | 'time' | 'agent' | 'direction' | 'technique' | 'suppressed' | 'src' | 'identity' | 'tier'
  > {
  readonly src: { readonly ip: string | null; readonly port: number | null };
}
