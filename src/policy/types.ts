/**
 * The compiled policy and its answers. Pure data: it crosses to the workers as JSON and comes back the same.
 */
import type { Effect } from '../flow/operation.ts';
import type { Protocol } from '../flow/record.ts';

/**
 * How a process becomes an agent. All but `uid` and `exe` are cgroup v2 paths in the end, of which each component
 * may have one `*`.
 */
export type Enrolment =
  | { readonly kind: 'cgroup'; readonly path: string }
  /** Both inclusive. */
  | { readonly kind: 'uid'; readonly first: number; readonly last: number }
  /** `sha256` in lower-case hex: the file must have it to be the agent; null: any file there is. */
  | { readonly kind: 'exe'; readonly path: string; readonly sha256: string | null };

export interface CompiledAgent {
  /** Non-zero 32-bit id the kernel plane uses: the first four bytes of SHA-256 of the name, big-endian. */
  readonly id: number;
  readonly name: string;
  readonly groups: readonly string[];
  readonly enrolments: readonly Enrolment[];
}

export interface CompiledTls {
  /** Name to verify and to send as SNI; null: the protocol must give it (HTTP Host), or the agent's DNS. */
  readonly serverName: string | null;
  /** PEM of the trusted CAs; null: the system's store. */
  readonly ca: string | null;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  /** How TLS begins with a PostgreSQL server: after its own request for it, or with the connection (17 and later). */
  readonly negotiation: 'postgres' | 'direct';
  /** PEM of the certificate and key shown to the server, or null. */
  readonly clientCertificate: { readonly cert: string; readonly key: string } | null;
}

export interface CompiledDestination {
  readonly name: string;
  /** Lower-case names without a trailing dot; `*.example.org` matches one label. Empty: any name. */
  readonly hosts: readonly string[];
  /** Address ranges as [first, last] of 16-byte hex, v4 in v4-mapped form. Empty: any address. */
  readonly ranges: readonly (readonly [string, string])[];
  /** Inclusive. Empty: any port. */
  readonly ports: readonly (readonly [number, number])[];
  /** `auto`: looked for in the first bytes; `tls`: plain bytes of any protocol are wrapped without reading. */
  readonly protocol: 'auto' | 'http' | 'postgres' | 'tls';
  readonly tls: CompiledTls;
  /** Port to connect to instead of the asked one, by asked port. */
  readonly portMap: Readonly<Record<string, number>>;
}

export interface CompiledRule {
  readonly name: string;
  /** Names of agents; empty: any agent. */
  readonly agents: readonly string[];
  /** Names of destinations; empty: anywhere. */
  readonly destinations: readonly string[];
  /** `exempt` lets the flow leave in plain text; it must say why. */
  readonly action: 'allow' | 'deny' | 'exempt';
  /** With `allow`: an agent that speaks TLS itself may pass through. */
  readonly passthrough: boolean;
  /** An agent may ask a PostgreSQL server for replication, where that is read. */
  readonly replication: boolean;
  readonly reason: string | null;
}

/** `schema.name`, `name` (of any schema), each part with stars. Null: any. */
export interface NamePattern {
  readonly schema: string | null;
  readonly name: string;
}

/** What agents may ask of servers whose protocol is read. Of several conditions all must hold. */
export interface CompiledOperationRule {
  readonly name: string;
  /** Names of agents; empty: any agent. */
  readonly agents: readonly string[];
  /** Names of destinations; never empty. */
  readonly destinations: readonly string[];
  /** One of them; empty: any. */
  readonly effects: readonly Effect[];
  /** About one of them; empty: any or none. */
  readonly relations: readonly NamePattern[];
  /** About one that is none of these; null: does not matter. */
  readonly relationsOtherThan: readonly NamePattern[] | null;
  /** One of them is called; empty: any or none. */
  readonly functions: readonly NamePattern[];
  /** It takes or sets one of them; empty: any or none. */
  readonly columns: readonly ColumnPattern[];
  /** It takes or sets one that is none of these; null: does not matter. */
  readonly columnsOtherThan: readonly ColumnPattern[] | null;
  /** `hold`: waits until somebody approves or denies it; `observe`: counted as if it were denied, and let pass. */
  readonly action: 'deny' | 'hold' | 'observe';
  /** So long one waits at the most, and is then denied; null unless the action is `hold`. */
  readonly holdTimeoutMs: number | null;
  readonly reason: string | null;
}

/** `schema.table.column`, `table.column`, `column`, each part with stars. Null: any. */
export interface ColumnPattern {
  readonly schema: string | null;
  readonly table: string | null;
  readonly column: string;
}

/** What is written where a mask found something. */
export type CompiledMaskAction =
  | { readonly kind: 'redact' }
  /** The last so many letters and digits are left. */
  | { readonly kind: 'partial'; readonly keepLast: number }
  /** By the name of the key. */
  | { readonly kind: 'hash'; readonly key: string }
  /** The whole value goes. */
  | { readonly kind: 'null' }
  /** What was found goes. */
  | { readonly kind: 'drop' };

/** What must not travel inside flows whose protocol is read. Of several conditions all must hold. */
export interface CompiledMask {
  readonly name: string;
  /** Names of agents; empty: any agent. */
  readonly agents: readonly string[];
  /** Names of destinations; never empty. */
  readonly destinations: readonly string[];
  readonly direction: 'requests' | 'responses' | 'both';
  /** Groups resolved. Empty: values are masked whole, whatever is in them. */
  readonly detectors: readonly string[];
  /** Values of one of these; empty: of any, and of none. */
  readonly columns: readonly ColumnPattern[];
  /** Values of one of these types, by the server's own names; empty: of any. */
  readonly types: readonly string[];
  readonly action: CompiledMaskAction;
  /** With columns: what would take their values to where they are not known any more is denied. */
  readonly strict: boolean;
  /** `observe`: counted as if it were masked, and let pass. */
  readonly effect: 'mask' | 'observe';
}

/** A detector that the policy declares: a pattern (src/policy/pattern.ts), or else words. */
export interface CompiledDetector {
  readonly name: string;
  readonly pattern: string | null;
  readonly words: readonly string[];
  readonly caseSensitive: boolean;
}

/** Values are hashed with it. */
export interface CompiledMaskKey {
  readonly name: string;
  /** One character a byte. Never to be shown. */
  readonly secret: string;
}

/** Lets somebody be served by agents, in plain text. */
export interface CompiledInbound {
  /** Non-zero; follows from the name as an agent's does. */
  readonly id: number;
  readonly name: string;
  /** Names of agents; never empty. */
  readonly agents: readonly string[];
  readonly protocol: 'tcp' | 'udp';
  /** Ports of the agent, inclusive; never empty. */
  readonly ports: readonly (readonly [number, number])[];
  /** Of those who may be served, as in a destination, merged; never empty. */
  readonly ranges: readonly (readonly [string, string])[];
  readonly reason: string;
}

/** How long the name of an answer stands for its addresses: its TTL and `graceSeconds`, `maxSeconds` at most. */
export interface NameLife {
  readonly graceSeconds: number;
  readonly maxSeconds: number;
}

export interface CompiledPolicy {
  /** First 12 hex digits of SHA-256 of the document and the files it names. */
  readonly revision: string;
  readonly trustDomain: string;
  /** SPIFFE ID template: `{trust_domain}`, `{host}`, `{agent}`, `{uid}`, `{unit}`, `{exe}`. */
  readonly spiffeTemplate: string;
  /** IP addresses of the resolvers agents' DNS goes to; null: those of /etc/resolv.conf. None: agents have no DNS. */
  readonly resolvers: readonly string[] | null;
  readonly dns: {
    /** `policy`: an agent may only ask for names of destinations its rules let it reach. */
    readonly names: 'any' | 'policy';
    readonly nameLife: NameLife;
    /** For each agent; twice as many at once. */
    readonly queriesPerSecond: number;
    /** Which questions have a flow record. */
    readonly record: 'all' | 'refused';
  };
  readonly agents: readonly CompiledAgent[];
  readonly destinations: readonly CompiledDestination[];
  readonly rules: readonly CompiledRule[];
  readonly operations: readonly CompiledOperationRule[];
  readonly masks: readonly CompiledMask[];
  readonly detectors: readonly CompiledDetector[];
  readonly maskKeys: readonly CompiledMaskKey[];
  readonly inbound: readonly CompiledInbound[];
  readonly enforcement: {
    /** Tier without which the policy is not put in force. */
    readonly minimum: 'base' | 'lsm';
  };
  /** Paths of Unix sockets agents may not connect to where the tier is `lsm`; a component may be `*`. */
  readonly closedSockets: readonly string[];
  readonly limits: {
    readonly detectTimeoutMs: number;
    readonly connectTimeoutMs: number;
    readonly handshakeTimeoutMs: number;
  };
}

/** What is known of a flow when it is decided. */
export interface FlowQuestion {
  /** Agent name; null for a process that is enrolled but none of the policy's agents. */
  readonly agent: string | null;
  readonly ip: string;
  readonly port: number;
  /** The name this agent last resolved to that address; null or absent: none that is known. */
  readonly dnsName?: string | null;
  /** Absent at connect time; present once the first bytes have been read. */
  readonly seen?: {
    readonly protocol: Protocol;
    /** The agent speaks TLS itself. */
    readonly agentTls: boolean;
    /** HTTP Host or SNI. */
    readonly name: string | null;
    /** A PostgreSQL client asks for replication. */
    readonly replication?: boolean;
  };
}

export interface Granted {
  readonly kind: 'allow';
  readonly rule: string;
  readonly reason: string | null;
  readonly destination: CompiledDestination;
  /** `upgrade`: TLS is added; `passthrough`: the agent's own TLS goes on; `exempt`: plain. */
  readonly mode: 'upgrade' | 'passthrough' | 'exempt';
  /** The name to verify, with where it came from; null only for `passthrough` and `exempt`. */
  readonly serverName: { readonly name: string; readonly source: 'policy' | 'http-host' | 'dns' } | null;
  readonly upstreamPort: number;
}

export interface Refused {
  readonly kind: 'deny';
  /** Null when no rule matched. */
  readonly rule: string | null;
  readonly code:
    | 'policy_denied'
    | 'no_rule'
    | 'undetected'
    | 'agent_tls_denied'
    | 'replication_denied'
    | 'cancel_denied'
    | 'name_required';
  readonly reason: string;
}

/** More must be seen before it can be decided; only ever the answer to a question without `seen`. */
export interface Inspect {
  readonly kind: 'inspect';
  /** Set when every candidate destination names one protocol. Told by `policy explain`; the proxy goes by the bytes. */
  readonly protocol: 'http' | 'postgres' | null;
}

export type ConnectAnswer = Granted | Refused | Inspect;
