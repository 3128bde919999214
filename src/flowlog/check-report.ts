/**
 * Is what a worker sent a report? Workers read hostile bytes and are the first thing that would be taken over, and
 * the daemon is privileged: nothing of theirs is used before its shape was checked, and nothing beside that gets into a record.
 */
import {
  type Check,
  isCount,
  isFlag,
  isFlowId,
  isPort,
  isText,
  isU32,
  listOf,
  oneOf,
  orNull,
  shape,
} from '../core/claim.ts';
import {
  type Answerer,
  type FlowHold,
  HELD_TEXT_MAX_CHARS,
  HOLD_OUTCOMES,
  HOLD_REASON_MAX_CHARS,
  HOLDS_RECORDED_MAX,
  USER_NAME_MAX_CHARS,
} from '../flow/hold.ts';
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

const text = isText(MAX_TEXT_CHARS);
const duration: Check = (value) =>
  typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER;

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

const OUTCOME_NAMES: ReadonlySet<unknown> = new Set(HOLD_OUTCOMES);
const DISPOSITION_NAMES: ReadonlySet<unknown> = new Set(DISPOSITIONS);

const isTls = shape<NonNullable<FlowRecord['tls']>>({
  version: orNull(text),
  cipher: orNull(text),
  group: orNull(text),
  server_name: orNull(text),
  resumed: isFlag,
  alpn: orNull(text),
  peer_sha256: orNull(text),
  agent_sni: orNull(text),
  close_notify: orNull(isFlag),
});

const isUser = orNull(isText(USER_NAME_MAX_CHARS));
const isHold = shape<FlowHold>({
  time: isText(24),
  what: isText(HELD_TEXT_MAX_CHARS),
  rule: isText(HELD_TEXT_MAX_CHARS),
  waited_ms: duration,
  outcome: (value) => OUTCOME_NAMES.has(value),
  by: orNull(shape<Answerer>({ uid: isU32, user: isUser, login: isUser })),
  reason: orNull(isText(HOLD_REASON_MAX_CHARS)),
});

const isReport = shape<WorkerFlowReport>({
  id: isFlowId,
  disposition: (value) => DISPOSITION_NAMES.has(value),
  verdict: oneOf(VERDICTS),
  reason: oneOf(REASON_TEXT),
  detail: orNull(text),
  rule: orNull(text),
  policy_revision: text,
  protocol: oneOf(PROTOCOLS),
  src: shape<WorkerFlowReport['src']>({ ip: orNull(text), port: orNull(isPort) }),
  dst: shape<FlowDestination>({
    ip: orNull(text),
    port: orNull(isPort),
    host: orNull(text),
    host_source: orNull(oneOf(HOST_SOURCES)),
    name: orNull(text),
    upstream_port: orNull(isPort),
  }),
  tls: orNull(isTls),
  operations: orNull(
    shape<FlowOperations>({
      total: isCount,
      denied: isCount,
      held: isCount,
      approved: isCount,
      observed: isCount,
      holds: listOf(isHold, HOLDS_RECORDED_MAX),
    }),
  ),
  masks: orNull(shape<FlowMasks>({ masked: isCount, observed: isCount, denied: isCount })),
  bytes: shape<FlowRecord['bytes']>({ agent_to_server: isCount, server_to_agent: isCount }),
  timings: shape<FlowRecord['timings']>({
    connect_ms: orNull(duration),
    tls_ms: orNull(duration),
    total_ms: duration,
  }),
  worker: orNull(isCount),
});

/** The fields of a report, and nothing a worker adds of its own. */
export function reportFields(report: WorkerFlowReport): WorkerFlowReport {
  return isReport.keep(report);
}

/** Any `struct sluice_flow` in hex: whatever its bytes, they decode to facts. */
const KERNEL_TEXT = new RegExp(`^[0-9a-f]{${layout.sluice_flow.size * 2}}$`);

const isReported = shape<ReportedFlow>({
  kernel: orNull((value) => typeof value === 'string' && KERNEL_TEXT.test(value)),
  report: isReport,
});

/** Also that the report is about the flow the kernel's words are of. */
export function isReportedFlow(value: unknown): value is ReportedFlow {
  if (!isReported(value)) return false;
  const { kernel, report } = value;
  return kernel === null || decodeFlowId(Buffer.from(kernel, 'hex')) === report.id;
}
