/**
 * Is what a worker sent a report? Workers read hostile bytes and are the first thing that would be taken over, and
 * the daemon is privileged: nothing of theirs is used before its shape was checked.
 */
import {
  DISPOSITIONS,
  type FlowDestination,
  type FlowRecord,
  type Protocol,
  type Verdict,
  type WorkerFlowReport,
} from '../flow/record.ts';
import type { FlowFacts } from '../kernel/facts.ts';
import type { ReportedFlow } from '../proxy/ipc.ts';
import { REASON_TEXT } from './reasons.ts';

/** Longer than any host name, address or sentence of ours; keeps one record from filling the store. */
const MAX_TEXT_CHARS = 1_024;

type Check = (value: unknown) => boolean;
type Checks<T> = { readonly [K in keyof T]-?: Check };

const text: Check = (value) => typeof value === 'string' && value.length <= MAX_TEXT_CHARS;
const count: Check = (value) => Number.isSafeInteger(value) && Number(value) >= 0;
const duration: Check = (value) =>
  typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER;
const port: Check = (value) => count(value) && Number(value) <= 65_535;
const yesOrNo: Check = (value) => typeof value === 'boolean';
/** What the kernel's fields hold: a larger one is no time, and who reckons with it fails. */
const u64: Check = (value) => typeof value === 'bigint' && value >= 0n && value < 2n ** 64n;
const u32: Check = (value) => count(value) && Number(value) < 2 ** 32;
const flowId: Check = (value) => typeof value === 'string' && /^[0-9a-f]{16}$/.test(value);
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);
const oneOf =
  (names: Readonly<Record<string, unknown>>): Check =>
  (value) =>
    typeof value === 'string' && Object.hasOwn(names, value);

function shape<T>(checks: Checks<T>): Check {
  const list = Object.entries<Check>(checks);
  return (value) => {
    if (typeof value !== 'object' || value === null) return false;
    const fields: Record<string, unknown> = { ...value };
    return list.every(([name, check]) => check(fields[name]));
  };
}

// Records and not arrays, so that the compiler notices a value that is missing here.
const VERDICTS: Readonly<Record<Verdict, true>> = { allow: true, deny: true, error: true };
const PROTOCOLS: Readonly<Record<Protocol, true>> = {
  http: true,
  postgres: true,
  tls: true,
  opaque: true,
  unknown: true,
};
const HOST_SOURCES: Readonly<Record<NonNullable<FlowDestination['host_source']>, true>> = {
  policy: true,
  'http-host': true,
  sni: true,
};

const isTls = shape<NonNullable<FlowRecord['tls']>>({
  version: orNull(text),
  cipher: orNull(text),
  group: orNull(text),
  server_name: orNull(text),
  resumed: yesOrNo,
  alpn: orNull(text),
  peer_sha256: orNull(text),
  agent_sni: orNull(text),
});

const isReport = shape<WorkerFlowReport>({
  id: flowId,
  disposition: (value) => DISPOSITIONS.some((known) => known === value),
  verdict: oneOf(VERDICTS),
  reason: oneOf(REASON_TEXT),
  detail: orNull(text),
  rule: orNull(text),
  policy_revision: text,
  protocol: oneOf(PROTOCOLS),
  src: shape<WorkerFlowReport['src']>({ ip: orNull(text), port: orNull(port) }),
  dst: shape<FlowDestination>({
    ip: orNull(text),
    port: orNull(port),
    host: orNull(text),
    host_source: orNull(oneOf(HOST_SOURCES)),
    name: orNull(text),
    upstream_port: orNull(port),
  }),
  tls: orNull(isTls),
  bytes: shape<FlowRecord['bytes']>({ agent_to_server: count, server_to_agent: count }),
  timings: shape<FlowRecord['timings']>({
    connect_ms: orNull(duration),
    tls_ms: orNull(duration),
    total_ms: duration,
  }),
  worker: orNull(count),
});

const isFacts = shape<FlowFacts>({
  id: flowId,
  startNs: u64,
  netnsCookie: u64,
  cgroupId: u64,
  taskStartNs: u64,
  exeInode: u64,
  exeDev: u32,
  pid: u32,
  uid: u32,
  gid: u32,
  agentId: u32,
  dstIp: text,
  dstPort: port,
  family: (value) => value === 4 || value === 6,
});

/** Also that the report is about the flow its facts are of. */
export function isReportedFlow(value: unknown): value is ReportedFlow {
  if (!shape<ReportedFlow>({ facts: orNull(isFacts), report: isReport })(value)) return false;
  const { facts, report } = value as ReportedFlow;
  return facts === null || facts.id === report.id;
}
