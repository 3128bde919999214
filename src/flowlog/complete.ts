/**
 * Makes the flow record out of its three sources: how the flow ended (the worker's report, or what the ledger
 * concluded without one), what the kernel said when it began, and what attestation found. Pure.
 *
 * Where the kernel and a worker say the same thing, the kernel's word stands: workers read hostile bytes.
 */
import { FLOW_RECORD_SCHEMA, type FlowRecord, type Reason, type WorkerFlowReport } from '../flow/record.ts';
import type { Attested } from '../identity/attest.ts';
import { unixSelectors } from '../identity/unix/selectors.ts';
import type { FlowFacts } from '../kernel/facts.ts';
import type { Technique } from '../kernel/techniques.ts';
import { reportFields } from './check-report.ts';
import { REASON_TEXT } from './reasons.ts';

/** What was known when the flow was first heard of; policy and tier may be others by the time it ends. */
export interface FlowStart {
  /** Null for a connection the kernel plane did not redirect. */
  readonly facts: FlowFacts | null;
  /** RFC 3339. */
  readonly time: string;
  readonly agent: string | null;
  readonly tier: string;
  readonly direction: FlowRecord['direction'];
  /** Of a refusal in the kernel; null for everything else. */
  readonly refusal: { readonly technique: Technique | null; readonly suppressed: number } | null;
}

/** An ending the ledger concludes by itself. */
export interface ConcludedEnding {
  readonly reason: Reason;
  readonly verdict: FlowRecord['verdict'];
  readonly disposition: FlowRecord['disposition'];
  readonly policyRevision: string;
  readonly totalMs: number;
  /** The worker that must have carried it, where that can be told. */
  readonly worker: number | null;
  /** Where more can be said than the reason says. */
  readonly detail?: string | null;
  readonly rule?: string | null;
  /** Port of the agent's end. */
  readonly localPort?: number | null;
  readonly bytes?: FlowRecord['bytes'];
}

/** The report a worker would have sent, for a flow that no worker reported. */
export function concludedReport(facts: FlowFacts, ending: ConcludedEnding): WorkerFlowReport {
  return {
    id: facts.id,
    disposition: ending.disposition,
    verdict: ending.verdict,
    reason: ending.reason,
    detail: ending.detail ?? REASON_TEXT[ending.reason],
    rule: ending.rule ?? null,
    policy_revision: ending.policyRevision,
    protocol: 'unknown',
    src: { ip: null, port: ending.localPort ?? null },
    dst: { ip: null, port: null, host: null, host_source: null, name: null, upstream_port: null },
    tls: null,
    operations: null,
    masks: null,
    bytes: ending.bytes ?? { agent_to_server: 0, server_to_agent: 0 },
    timings: { connect_ms: null, tls_ms: null, total_ms: Math.max(0, ending.totalMs) },
    worker: ending.worker,
  };
}

function source(report: WorkerFlowReport, facts: FlowFacts | null, attested: Attested | null) {
  return {
    pid: facts?.pid ?? null,
    uid: facts?.uid ?? null,
    gid: facts?.gid ?? null,
    started: attested?.startedAt ?? null,
    exe: attested?.exe ?? null,
    exe_sha256: attested?.exeSha256 ?? null,
    cgroup: attested?.cgroup ?? null,
    unit: attested?.unit ?? null,
    ip: report.src.ip,
    port: report.src.port,
  };
}

function identity(facts: FlowFacts | null, attested: Attested | null): FlowRecord['identity'] {
  if (attested !== null) {
    return { spiffe_id: attested.spiffeId, selectors: attested.selectors, groups: attested.groups };
  }
  const nothing = { user: null, group: null, path: null, sha256: null };
  const selectors = facts === null ? [] : unixSelectors({ uid: facts.uid, gid: facts.gid, ...nothing });
  return { spiffe_id: null, selectors, groups: [] };
}

/** Takes from the report what was checked, and nothing a worker adds of its own. */
export function completeRecord(
  claimed: WorkerFlowReport,
  start: FlowStart,
  attested: Attested | null,
): FlowRecord {
  const { facts } = start;
  const report = reportFields(claimed);
  return {
    schema: FLOW_RECORD_SCHEMA,
    id: report.id,
    time: start.time,
    agent: start.agent,
    direction: start.direction,
    disposition: report.disposition,
    verdict: report.verdict,
    reason: report.reason,
    detail: report.detail,
    technique: start.refusal?.technique ?? null,
    suppressed: start.refusal?.suppressed ?? 0,
    rule: report.rule,
    policy_revision: report.policy_revision,
    protocol: report.protocol,
    tier: start.tier,
    src: source(report, facts, attested),
    dst: { ...report.dst, ip: facts?.dstIp ?? report.dst.ip, port: facts?.dstPort ?? report.dst.port },
    identity: identity(facts, attested),
    tls: report.tls,
    operations: report.operations,
    masks: report.masks,
    bytes: report.bytes,
    timings: report.timings,
    worker: report.worker,
  };
}
