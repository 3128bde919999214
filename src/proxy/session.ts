/**
 * One flow, from the accepted socket to its one report.
 *
 *   decide (connect) → look at the first bytes → decide again → open the server's side → relay → report
 *
 * Rules: the decision is complete before the first byte to the server; whatever happens, exactly one report
 * comes out and both sockets are closed; the agent hears of a failure in its own protocol as long as the
 * server has not spoken to it, and by RST otherwise, so that a broken flow never looks like a whole one.
 */
import type { Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';
import { ProtocolError } from '../core/protocol-error.ts';
import type { Reason, WorkerFlowReport } from '../flow/record.ts';
import type { FlowFacts } from '../kernel/facts.ts';
import type { MaskEngine } from '../mask/engine.ts';
import { decide, needsDnsName, type PreparedPolicy } from '../policy/decide.ts';
import { maskRules } from '../policy/masks.ts';
import { operationRules } from '../policy/operations.ts';
import { mayHaveOwnTls } from '../policy/own-tls.ts';
import type { ConnectAnswer, FlowQuestion, Granted, Refused } from '../policy/types.ts';
import { readCancelRequest } from '../protocols/postgres/cancel-key.ts';
import { AgentGone, AgentInput } from './agent-input.ts';
import { type Approver, NO_APPROVER } from './approver.ts';
import type { Cancellable, FlowCancels } from './cancel-keys.ts';
import { DeniedByPolicy } from './denied-by-policy.ts';
import { answerFor, farewell } from './farewell.ts';
import { describeDefect, FlowDraft } from './flow-report.ts';
import { readInLayers } from './layers.ts';
import { type Catalogs, type Masked, maskFlow } from './masking.ts';
import { openerFor } from './openers/index.ts';
import type { Opened } from './openers/opener.ts';
import { type Governed, governOperations } from './operations.ts';
import { nameOf, type Recognised, recognise, seenOf } from './recognise.ts';
import { type Relay, streamRelay } from './relay.ts';
import { resetSocket } from './reset.ts';
import type { SocketPool } from './socket-pool.ts';
import { askWhetherReset } from './stall-watch.ts';
import type { TlsContexts } from './tls-context.ts';
import { Upstream } from './upstream.ts';
import { establishedError, UpstreamError } from './upstream-error.ts';

/** A policy and what was derived from it. A flow keeps the one it began with. */
export interface PolicyInForce {
  readonly prepared: PreparedPolicy;
  readonly contexts: TlsContexts;
  readonly maskEngine: MaskEngine;
  readonly catalogs: Catalogs;
}

export interface SessionOptions {
  readonly agent: Socket;
  readonly facts: FlowFacts;
  readonly policy: PolicyInForce;
  readonly worker: number;
  readonly clock: Clock;
  /** The name this agent last resolved to the address; asked only where the decision may depend on it. */
  readonly resolvedName?: () => Promise<string | null>;
  /** The keys by which PostgreSQL's sessions are cancelled. */
  readonly cancels: FlowCancels;
  /** Where the agent is in another network namespace than the worker: sockets to reach servers from there. */
  readonly sockets?: SocketPool | null;
  /** Told when the server's side is open: from here on the flow needs nobody but its two ends. */
  readonly onEstablished?: () => void;
  readonly relay?: Relay;
  /** Who is asked about what policy holds; nobody by default, and it is denied. */
  readonly approver?: Approver;
}

/** How it ended. `refused`: the agent has not heard from the server yet and can be told in its own words. */
interface Ending {
  readonly reason: Reason;
  readonly detail: string | null;
  readonly agentIs: 'closed' | 'to-be-told' | 'to-be-reset';
}

export class Session {
  readonly #agent: Socket;
  readonly #facts: FlowFacts;
  readonly #policy: PolicyInForce;
  readonly #clock: Clock;
  readonly #resolvedName: () => Promise<string | null>;
  readonly #cancels: FlowCancels;
  readonly #onEstablished: () => void;
  readonly #relay: Relay;
  readonly #approver: Approver;
  readonly #draft: FlowDraft;
  readonly #input: AgentInput;
  readonly #upstream: Upstream;
  #recognised: Recognised | null = null;
  /** Set where policy has rules about what is asked inside this flow. */
  #governed: Governed | null = null;
  /** Set where policy has masks for this flow. */
  #masked: Masked | null = null;
  /** What a request to cancel is for. */
  #cancelled: Cancellable | null = null;
  /** It may be for a session that this agent has in its own TLS, whose key nobody here knows. */
  #cancelsUnread = false;
  #dnsName: string | null = null;
  #cut: Ending | null = null;

  constructor(options: SessionOptions) {
    const { agent, facts, policy, worker, clock, sockets = null, relay = streamRelay } = options;
    this.#resolvedName = options.resolvedName ?? (async () => null);
    this.#cancels = options.cancels;
    this.#onEstablished = options.onEstablished ?? ignore;
    this.#agent = agent;
    this.#facts = facts;
    this.#policy = policy;
    this.#clock = clock;
    this.#relay = relay;
    this.#approver = options.approver ?? NO_APPROVER;
    this.#input = new AgentInput(agent);
    this.#upstream = new Upstream(clock, sockets);
    this.#draft = new FlowDraft({
      id: facts.id,
      facts,
      policyRevision: policy.prepared.source.revision,
      worker,
      src: { ip: agent.remoteAddress ?? null, port: agent.remotePort ?? null },
    });
  }

  get established(): boolean {
    return this.#draft.established;
  }

  /** Carries the flow to its end. Never rejects. */
  async run(): Promise<WorkerFlowReport> {
    const begun = this.#clock.monotonic();
    // The agent may vanish while we wait for the server: waiting is then over too.
    const onAgentClose = (): void => this.#upstream.reset();
    this.#agent.on('error', ignore);
    this.#agent.on('close', onAgentClose);
    let ending: Ending;
    try {
      const grant = await this.#decide();
      this.#assertAgentThere();
      const opened = await this.#open(grant);
      this.#agent.off('close', onAgentClose);
      ending = await this.#carry(opened);
    } catch (error) {
      ending = this.#endingOf(error);
    }
    this.#cancels.end();
    ending = this.#cut ?? ending;
    await this.#close(ending);
    return this.#draft.finish(ending.reason, ending.detail, this.#clock.monotonic() - begun);
  }

  /** Ends the flow now, from outside: both sides get a RST and the report says why. */
  cut(reason: Reason, detail: string): void {
    this.#cut ??= { reason, detail, agentIs: 'to-be-reset' };
    this.#upstream.reset();
    resetSocket(this.#agent);
  }

  /** @throws Refusal when it is not allowed */
  async #decide(): Promise<Granted> {
    const { prepared } = this.#policy;
    const { agentId, dstIp, dstPort } = this.#facts;
    const base: FlowQuestion = { agent: prepared.agentName(agentId), ip: dstIp, port: dstPort };
    let question = await this.#withDnsName(base);
    let answer: ConnectAnswer = decide(prepared, question);
    if (mustLook(answer)) {
      if (answer.kind === 'deny') this.#draft.decision = answer;
      const asked = question;
      // One that is denied anyway is told so in plain words.
      const isOpen = answer.kind !== 'deny';
      const recognised = await this.#look(() => isOpen && mayHaveOwnTls(prepared, asked));
      if (answer.kind !== 'deny') {
        question = {
          ...question,
          ...(await this.#nameOfCancelled(recognised, asked)),
          seen: seenOf(recognised),
        };
        question = await this.#withDnsName(question);
        answer = decide(prepared, question);
      }
    } else {
      this.#draft.protocol = 'opaque';
    }
    if (answer.kind === 'inspect') throw new Error('policy asked to see what it was shown');
    this.#draft.decision = answer;
    if (answer.kind === 'deny') throw new DeniedByPolicy(answer);
    this.#dnsName = question.dnsName ?? null;
    this.#govern(question, answer);
    return answer;
  }

  /**
   * What an agent sent before it reset can still be read: nothing of it is carried for somebody who has left. Otherwise a
   * connection that was reset while it waited to be accepted would reach the server.
   *
   * @throws AgentGone
   */
  #assertAgentThere(): void {
    askWhetherReset(this.#agent);
    if (this.#agent.destroyed) throw new AgentGone(this.#agent.errored);
  }

  /** A request to cancel is decided by what the agent had resolved for its session: it resolves nothing itself. */
  async #nameOfCancelled(
    recognised: Recognised,
    asked: FlowQuestion,
  ): Promise<Pick<FlowQuestion, 'dnsName'>> {
    if (recognised.protocol !== 'postgres' || recognised.opening.kind !== 'cancel') return {};
    this.#cancelled = await this.#cancels.find(readCancelRequest(recognised.opening.raw));
    this.#cancelsUnread = this.#cancelled === null && mayHaveOwnTls(this.#policy.prepared, asked);
    const dnsName = this.#cancelled?.server.dnsName ?? null;
    return dnsName === null ? {} : { dnsName };
  }

  /** @throws DeniedByPolicy where rules about operations, or masks, could not be kept */
  #govern(question: FlowQuestion, grant: Granted): void {
    const agentTls = grant.mode === 'passthrough';
    const masks = maskRules(this.#policy.prepared, question);
    const [mask] = masks;
    if (mask !== undefined) {
      const { maskEngine: engine, catalogs } = this.#policy;
      const server = `${question.ip} ${grant.upstreamPort} ${grant.serverName?.name ?? ''}`;
      const recognised = this.#recognised;
      this.#masked = maskFlow({ masks, engine, catalogs, recognised, agentTls, server });
      if (this.#masked === null)
        this.#refuse(mask.name, `the mask "${mask.name}" cannot be kept in this flow`);
      this.#recognised = this.#masked.recognised;
    }
    const rules = operationRules(this.#policy.prepared, question);
    const [first] = rules;
    const statements = this.#masked?.statements ?? null;
    if (first === undefined && statements === null) return;
    this.#governed = governOperations({
      rules,
      recognised: this.#recognised,
      agentTls,
      approver: this.#approver,
      flow: this.#facts.id,
      agent: question.agent,
      masks: statements,
      shown: this.#masked?.shown ?? null,
    });
    this.#cancels.onCancel = () => this.#governed?.cancel();
    if (this.#governed !== null || first === undefined) return;
    this.#refuse(
      first.name,
      `the rule "${first.name}" is about operations, which cannot be read in this flow`,
    );
  }

  #refuse(rule: string, reason: string): never {
    const refused: Refused = { kind: 'deny', rule, code: 'policy_denied', reason };
    throw new DeniedByPolicy(refused);
  }

  async #withDnsName(question: FlowQuestion): Promise<FlowQuestion> {
    if (question.dnsName !== undefined || !needsDnsName(this.#policy.prepared, question)) return question;
    const dnsName = await this.#resolvedName();
    if (dnsName !== null) this.#draft.agentName ??= { name: dnsName, source: 'dns' };
    return { ...question, dnsName };
  }

  /** Even a flow that is denied already is looked at: only so can it be told in its own protocol. */
  async #look(mayHave: () => boolean): Promise<Recognised> {
    const { detectTimeoutMs } = this.#policy.prepared.source.limits;
    const recognised = await recognise(
      this.#input,
      detectTimeoutMs,
      { reply: (bytes) => void this.#agent.write(bytes), mayHaveOwnTls: mayHave },
      (protocol) => {
        this.#draft.protocol = protocol;
      },
    );
    this.#recognised = recognised;
    const name = nameOf(recognised);
    if (name !== null) {
      this.#draft.agentName = { name, source: recognised.protocol === 'tls' ? 'sni' : 'http-host' };
    }
    return recognised;
  }

  async #open(grant: Granted): Promise<Opened> {
    const { prepared, contexts } = this.#policy;
    try {
      return await openerFor(
        grant,
        this.#recognised,
      )({
        grant,
        recognised: this.#recognised,
        input: this.#input,
        upstream: this.#upstream,
        contexts,
        limits: prepared.source.limits,
        ip: this.#facts.dstIp,
        cancels: this.#cancels,
        cancelled: this.#cancelled,
        cancelsUnread: this.#cancelsUnread,
        dnsName: this.#dnsName,
      });
    } finally {
      this.#draft.connectMs = this.#upstream.connectMs;
      this.#draft.tlsMs = this.#upstream.tlsMs;
      this.#draft.tls = this.#upstream.tls;
    }
  }

  async #carry(opened: Opened): Promise<Ending> {
    this.#draft.established = true;
    this.#onEstablished();
    const { gating = null } = this.#governed ?? {};
    const relay = readInLayers(opened.relay, gating, this.#masked?.reading ?? null);
    const result = await this.#relay.run(this.#agent, opened.server, relay);
    this.#governed?.close();
    this.#draft.operations = this.#governed?.counts() ?? null;
    this.#draft.masks = this.#masked?.counts() ?? null;
    const { tls } = this.#draft;
    if (tls !== null) this.#draft.tls = { ...tls, close_notify: this.#upstream.closeNotify() };
    this.#draft.bytesAgentToServer = result.bytesAgentToServer;
    this.#draft.bytesServerToAgent = result.bytesServerToAgent;
    if (result.end === 'ok') return { reason: 'ok', detail: null, agentIs: 'closed' };
    if (result.brokenBy === 'agent' && result.error instanceof ProtocolError) {
      // The server may be in the middle of a message to the agent.
      return { reason: result.end, detail: result.error.message, agentIs: 'to-be-reset' };
    }
    if (result.brokenBy === 'agent') {
      return { reason: result.end, detail: 'the agent reset the connection', agentIs: 'closed' };
    }
    const detail =
      result.error instanceof ProtocolError ? result.error.message : establishedError(result.error).message;
    // While PostgreSQL's authentication is read only whole messages pass, so one of ours may follow.
    const speakable = result.bytesServerToAgent === 0 || result.error instanceof ProtocolError;
    return { reason: result.end, detail, agentIs: speakable ? 'to-be-told' : 'to-be-reset' };
  }

  #endingOf(error: unknown): Ending {
    if (error instanceof AgentGone || this.#agent.destroyed) {
      return {
        reason: 'agent_reset',
        detail: 'the agent left before the server was reached',
        agentIs: 'closed',
      };
    }
    const agentIs = 'to-be-told';
    if (error instanceof DeniedByPolicy) {
      this.#draft.decision = error.refused;
      return { reason: error.refused.code, detail: error.refused.reason, agentIs };
    }
    if (error instanceof UpstreamError) return { reason: error.reason, detail: error.message, agentIs };
    if (error instanceof ProtocolError) return this.#broken(error);
    return { reason: 'internal_error', detail: describeDefect(error), agentIs };
  }

  /** A flow that was denied anyway stays denied by that rule, however badly it then spoke. */
  #broken(error: ProtocolError): Ending {
    const { decision } = this.#draft;
    if (decision?.kind === 'deny') {
      return { reason: decision.code, detail: decision.reason, agentIs: 'to-be-told' };
    }
    return { reason: 'protocol_error', detail: error.message, agentIs: 'to-be-told' };
  }

  async #close({ reason, detail, agentIs }: Ending): Promise<void> {
    if (agentIs !== 'closed' || this.#agent.destroyed) this.#upstream.reset();
    if (agentIs === 'to-be-told') {
      const refusal = {
        reason,
        detail: detail ?? reason,
        flowId: this.#draft.id,
        denied: this.#draft.decision?.kind !== 'allow',
      };
      const answer = answerFor(this.#draft.protocol, this.#recognised, refusal);
      if (answer !== null) {
        await farewell(this.#agent, answer);
        return;
      }
    }
    if (agentIs !== 'closed') resetSocket(this.#agent);
    else if (reason !== 'ok') {
      this.#agent.destroy();
      this.#upstream.reset();
    }
  }
}

/**
 * Whether the first bytes must be read. A grant needs them when its destination speaks a protocol whose TLS or
 * whose errors are made inside it; a wrapped (`tls`) or an exempt flow goes on unread, also when its server
 * is the one to speak first.
 */
function mustLook(answer: ConnectAnswer): boolean {
  if (answer.kind !== 'allow') return true;
  return answer.mode === 'upgrade' && answer.destination.protocol !== 'tls';
}

function ignore(): void {
  // Of an error: what went wrong is read from `socket.errored`; a listener must exist or the error ends the process.
}
