/** The policy document as `schema.json` describes it, before anything is looked up or worked out. */

import type { Effect } from '../flow/operation.ts';

export interface PolicyDocument {
  readonly version: 1;
  readonly trust_domain?: string;
  readonly identity?: { readonly spiffe_id?: string };
  readonly dns?: {
    readonly resolvers?: readonly string[];
    readonly names?: 'any' | 'policy';
    readonly name_grace_seconds?: number;
    readonly name_max_seconds?: number;
    readonly queries_per_second?: number;
    readonly record?: 'all' | 'refused';
  };
  readonly limits?: {
    readonly detect_timeout_ms?: number;
    readonly connect_timeout_ms?: number;
    readonly handshake_timeout_ms?: number;
  };
  readonly enforcement?: { readonly minimum?: 'base' | 'lsm' };
  readonly unix_sockets?: { readonly deny?: readonly string[]; readonly allow?: readonly string[] };
  readonly agents?: readonly AgentEntry[];
  readonly destinations?: readonly DestinationEntry[];
  readonly rules?: readonly RuleEntry[];
  readonly operations?: readonly OperationEntry[];
  readonly masks?: readonly MaskEntry[];
  readonly detectors?: readonly DetectorEntry[];
  readonly mask_keys?: readonly MaskKeyEntry[];
  readonly inbound?: readonly InboundEntry[];
}

export interface AgentEntry {
  readonly name: string;
  readonly groups?: readonly string[];
  readonly match: readonly MatchEntry[];
}

/** Exactly one is there, as the schema requires; but `slice` may stand with `unit`. */
export interface MatchEntry {
  readonly unit?: string;
  readonly cgroup?: string;
  readonly run?: string;
  readonly uid?: number | string;
  readonly exe?: string | { readonly path: string; readonly sha256?: string };
  readonly slice?: string;
}

export interface DestinationEntry {
  readonly name: string;
  readonly hosts?: readonly string[];
  readonly cidrs?: readonly string[];
  readonly ports?: readonly (number | string)[];
  readonly protocol?: 'auto' | 'http' | 'postgres' | 'tls';
  readonly tls?: TlsEntry;
  readonly port_map?: Readonly<Record<string, number>>;
}

export interface TlsEntry {
  readonly server_name?: string;
  readonly ca?: string;
  readonly min_version?: '1.2' | '1.3' | 1.2 | 1.3;
  readonly negotiation?: 'postgres' | 'direct';
  readonly client_certificate?: { readonly cert: string; readonly key: string };
}

export interface RuleEntry {
  readonly name: string;
  readonly agents?: readonly string[];
  readonly destinations?: readonly string[];
  readonly action: 'allow' | 'deny' | 'exempt';
  readonly passthrough?: boolean;
  readonly replication?: boolean;
  readonly reason?: string;
}

export interface OperationEntry {
  readonly name: string;
  readonly agents?: readonly string[];
  readonly destinations: readonly string[];
  readonly effects?: readonly Effect[];
  readonly relations?: readonly string[];
  readonly relations_other_than?: readonly string[];
  readonly functions?: readonly string[];
  readonly columns?: readonly string[];
  readonly columns_other_than?: readonly string[];
  readonly action: 'deny' | 'hold' | 'observe';
  readonly hold?: { readonly timeout_seconds: number };
  readonly reason?: string;
}

export interface MaskEntry {
  readonly name: string;
  readonly agents?: readonly string[];
  readonly destinations: readonly string[];
  readonly direction?: 'requests' | 'responses' | 'both';
  readonly detect?: readonly string[];
  readonly columns?: readonly string[];
  readonly types?: readonly string[];
  readonly strict?: boolean;
  /** YAML's null is the action of that name. */
  readonly action?: 'redact' | 'partial' | 'hash' | 'null' | 'drop' | null;
  readonly keep_last?: number;
  readonly key?: string;
  readonly effect?: 'mask' | 'observe';
}

/** Has either `pattern` or `words`. */
export interface DetectorEntry {
  readonly name: string;
  readonly pattern?: string;
  readonly words?: readonly string[];
  readonly case_sensitive?: boolean;
}

export interface MaskKeyEntry {
  readonly name: string;
  readonly file: string;
}

export interface InboundEntry {
  readonly name: string;
  readonly agents: readonly string[];
  readonly protocol?: 'tcp' | 'udp';
  readonly ports: readonly (number | string)[];
  readonly from: readonly string[];
  readonly action: 'exempt';
  readonly reason: string;
}

/** What holds where the document is silent. docs/policy.md and schema.json say the same. */
export const DEFAULTS = {
  trustDomain: 'sluice.internal',
  spiffeTemplate: 'spiffe://{trust_domain}/host/{host}/agent/{agent}',
  dnsNames: 'any',
  /** As long as Java keeps an answer by default, whatever its TTL. */
  dnsNameGraceSeconds: 30,
  dnsNameMaxSeconds: 3_600,
  dnsQueriesPerSecond: 500,
  dnsRecord: 'all',
  detectTimeoutMs: 3_000,
  connectTimeoutMs: 10_000,
  handshakeTimeoutMs: 10_000,
  minimumTier: 'base',
  holdTimeoutSeconds: 300,
  maskDirection: 'responses',
  maskAction: 'redact',
  maskEffect: 'mask',
  maskStrict: true,
} as const;
