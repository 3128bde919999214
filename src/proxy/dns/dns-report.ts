/** The flow record's part of a question, or of a TCP connection that carried some. */
import type { Reason, Verdict, WorkerFlowReport } from '../../flow/record.ts';
import type { FlowFacts } from '../../kernel/facts.ts';

export interface Outcome {
  /** Null if the question could not be read. */
  readonly name: string | null;
  readonly verdict: Verdict;
  readonly reason: Reason;
  readonly detail: string;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

const WORSE: readonly Verdict[] = ['allow', 'error', 'deny'];

/** Several questions of one connection: the sum, and the worst that became of any. */
export function merged(outcomes: readonly [Outcome, ...Outcome[]]): Outcome {
  const worst = outcomes.reduce((a, b) => (WORSE.indexOf(b.verdict) > WORSE.indexOf(a.verdict) ? b : a));
  const sum = (of: (outcome: Outcome) => number): number => outcomes.reduce((all, each) => all + of(each), 0);
  return {
    ...worst,
    detail: outcomes.length === 1 ? worst.detail : `${worst.detail} (of ${outcomes.length} questions)`,
    bytesIn: sum(({ bytesIn }) => bytesIn),
    bytesOut: sum(({ bytesOut }) => bytesOut),
  };
}

export function dnsReport(
  facts: FlowFacts,
  outcome: Outcome,
  policyRevision: string,
  src: WorkerFlowReport['src'],
  totalMs: number,
): WorkerFlowReport {
  return {
    id: facts.id,
    disposition: outcome.verdict === 'deny' ? 'denied' : 'resolved',
    verdict: outcome.verdict,
    reason: outcome.reason,
    detail: outcome.detail,
    rule: null,
    policy_revision: policyRevision,
    protocol: 'dns',
    src,
    dst: {
      ip: facts.dstIp,
      port: facts.dstPort,
      host: outcome.name,
      host_source: outcome.name === null ? null : 'dns',
      name: null,
      upstream_port: null,
    },
    tls: null,
    operations: null,
    masks: null,
    bytes: { agent_to_server: outcome.bytesIn, server_to_agent: outcome.bytesOut },
    timings: { connect_ms: null, tls_ms: null, total_ms: Math.round(totalMs * 1000) / 1000 },
    worker: null,
  };
}
