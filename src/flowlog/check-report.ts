/**
 * Is what a worker sent a report? Workers read hostile bytes and are the first thing that would be taken over, and
 * the daemon is privileged: nothing of theirs is used before its shape was checked.
 */
import {
  DISPOSITIONS,
  type FlowDestination,
  type FlowMasks,
  type FlowOperations,
  type FlowRecord,
  type Protocol,
  type Verdict,
  type WorkerFlowReport,
} from '../flow/record.ts';
import { decodeFlowId, layout } from '../kernel/layout.ts';
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
    for (const [name, check] of list) if (!check(Reflect.get(value, name))) return false;
    return true;
  };
}

// Records and not arrays, so that the compiler notices a value that is missing here.
const VERDICTS: Readonly<Record<Verdict, true>> = { allow: true, deny: true, error: true };
const PROTOCOLS: Readonly<Record<Protocol, true>> = {
  http: true,
  postgres: true,
  tls: true,
  dns: true,
  opaque: true,
  unknown: true,
};
const HOST_SOURCES: Readonly<Record<NonNullable<FlowDestination['host_source']>, true>> = {
  policy: true,
  'http-host': true,
  sni: true,
  dns: true,
};

const DISPOSITION_NAMES: ReadonlySet<unknown> = new Set(DISPOSITIONS);

const isTls = shape<NonNullable<FlowRecord['tls']>>({
  version: orNull(text),
  cipher: orNull(text),
  group: orNull(text),
  server_name: orNull(text),
  resumed: yesOrNo,
  alpn: orNull(text),
  peer_sha256: orNull(text),
  agent_sni: orNull(text),
  close_notify: orNull(yesOrNo),
});

const isReport = shape<WorkerFlowReport>({
  id: flowId,
  disposition: (value) => DISPOSITION_NAMES.has(value),
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
  operations: orNull(
    shape<FlowOperations>({ total: count, denied: count, held: count, approved: count, observed: count }),
  ),
  masks: orNull(shape<FlowMasks>({ masked: count, observed: count })),
  bytes: shape<FlowRecord['bytes']>({ agent_to_server: count, server_to_agent: count }),
  timings: shape<FlowRecord['timings']>({
    connect_ms: orNull(duration),
    tls_ms: orNull(duration),
    total_ms: duration,
  }),
  worker: orNull(count),
});

/** Any `struct sluice_flow` in hex: whatever its bytes, they decode to facts. */
const KERNEL_TEXT = new RegExp(`^[0-9a-f]{${layout.sluice_flow.size * 2}}$`);

const isReported = shape<ReportedFlow>({
  kernel: orNull((value) => typeof value === 'string' && KERNEL_TEXT.test(value)),
  report: isReport,
});

/** Also that the report is about the flow the kernel's words are of. */
export function isReportedFlow(value: unknown): value is ReportedFlow {
  if (!isReported(value)) return false;
  const { kernel, report } = value as ReportedFlow;
  return kernel === null || decodeFlowId(Buffer.from(kernel, 'hex')) === report.id;
}
