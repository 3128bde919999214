/**
 * What is learnt about a flow on its way, and the one report made of it at the end.
 *
 * A draft becomes a report exactly once; a second time is a defect in the caller and throws.
 */
import { errnoOf } from '../core/errors.ts';
import type {
  Disposition,
  FlowMasks,
  FlowOperations,
  FlowTls,
  Protocol,
  Reason,
  Verdict,
  WorkerFlowReport,
} from '../flow/record.ts';
import type { FlowFacts } from '../kernel/facts.ts';
import type { Granted, Refused } from '../policy/types.ts';

const DISPOSITIONS: Readonly<Record<Granted['mode'], Disposition>> = {
  upgrade: 'upgraded',
  passthrough: 'passthrough',
  exempt: 'exempt',
};

export class FlowDraft {
  readonly id: string;
  protocol: Protocol = 'unknown';
  /** Name the agent gave the server or resolved, and where. */
  agentName: { readonly name: string; readonly source: 'http-host' | 'sni' | 'dns' } | null = null;
  decision: Granted | Refused | null = null;
  /** The server's side was ready and bytes could flow: from here on the flow is what its mode says. */
  established = false;
  tls: FlowTls | null = null;
  connectMs: number | null = null;
  tlsMs: number | null = null;
  operations: FlowOperations | null = null;
  masks: FlowMasks | null = null;
  bytesAgentToServer = 0;
  bytesServerToAgent = 0;
  readonly #facts: FlowFacts | null;
  readonly #policyRevision: string;
  readonly #worker: number;
  readonly #src: WorkerFlowReport['src'];
  #made = false;

  constructor(options: {
    readonly id: string;
    readonly facts: FlowFacts | null;
    readonly policyRevision: string;
    readonly worker: number;
    readonly src: WorkerFlowReport['src'];
  }) {
    this.id = options.id;
    this.#facts = options.facts;
    this.#policyRevision = options.policyRevision;
    this.#worker = options.worker;
    this.#src = options.src;
  }

  /** @param totalMs from accept to the end */
  finish(reason: Reason, detail: string | null, totalMs: number): WorkerFlowReport {
    if (this.#made) throw new Error(`flow ${this.id} was reported twice`);
    this.#made = true;
    return {
      id: this.id,
      disposition: this.#disposition(),
      verdict: this.#verdict(reason),
      reason,
      detail,
      rule: this.decision?.rule ?? null,
      policy_revision: this.#policyRevision,
      protocol: this.protocol,
      src: this.#src,
      dst: this.#destination(),
      tls: this.tls,
      operations: this.operations,
      masks: this.masks,
      bytes: { agent_to_server: this.bytesAgentToServer, server_to_agent: this.bytesServerToAgent },
      timings: {
        connect_ms: rounded(this.connectMs),
        tls_ms: rounded(this.tlsMs),
        total_ms: rounded(totalMs),
      },
      worker: this.#worker,
    };
  }

  /** A flow that was allowed but never got its server was protected in no way: nothing of it left the host. */
  #disposition(): Disposition {
    return this.established && this.decision?.kind === 'allow' ? DISPOSITIONS[this.decision.mode] : 'denied';
  }

  /** An end that either side chose is the flow's own; what broke a decision's execution is an error. */
  #verdict(reason: Reason): Verdict {
    if (this.decision?.kind === 'deny' || reason === 'not_an_agent') return 'deny';
    if (this.decision === null && reason === 'protocol_error') return 'deny';
    if (!this.established) return 'error';
    return reason === 'ok' || reason === 'agent_reset' || reason === 'server_reset' ? 'allow' : 'error';
  }

  #destination(): WorkerFlowReport['dst'] {
    const grant = this.decision?.kind === 'allow' ? this.decision : null;
    const host = grant?.serverName ?? this.agentName;
    return {
      ip: this.#facts?.dstIp ?? null,
      port: this.#facts?.dstPort ?? null,
      host: host?.name ?? null,
      host_source: host?.source ?? null,
      name: grant?.destination.name ?? null,
      upstream_port: grant?.upstreamPort ?? null,
    };
  }
}

function rounded(ms: number): number;
function rounded(ms: number | null): number | null;
function rounded(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms * 1000) / 1000;
}

/**
 * One line about a defect: its kind and the line of our code, without the message, which could quote bytes of
 * the flow.
 */
export function describeDefect(error: unknown): string {
  const kind = error instanceof Error ? error.name : typeof error;
  const code = errnoOf(error);
  const place = error instanceof Error ? /src\/[\w./-]+:\d+/.exec(error.stack ?? '')?.[0] : undefined;
  return `unexpected ${kind}${code === undefined ? '' : ` ${code}`}${place === undefined ? '' : ` at ${place}`}`;
}
