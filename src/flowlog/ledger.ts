/**
 * The ledger: whatever the kernel, the workers and the daemon's own end say about a flow, in whatever order, it
 * comes to exactly one record.
 *
 * A flow is *open* from its first sighting. A worker's report ends it. The kernel's `closed` without a report
 * makes it *closing*; reports travel in batches by another way, and that is long when thousands of flows end at once.
 * When REPORT_GRACE_MS have passed of which every worker has told all, the ledger concludes by itself.
 * `denied` and `undelivered` end it at once, and so does `served`, a connection to an agent. An ended flow *waits* until its attestation is there, at most
 * ATTEST_WAIT_MS, and its record is given out. Its id is remembered, so that whatever comes after is counted and nothing else.
 *
 * Pure but for the attestation promises: time is the injected clock, and passes only in `tick()`.
 */
import { randomBytes } from 'node:crypto';
import { BoundedMap } from '../core/bounded-map.ts';
import type { Clock } from '../core/clock.ts';
import type { FlowRecord, Reason, Verdict, WorkerFlowReport } from '../flow/record.ts';
import type { Attested } from '../identity/attest.ts';
import type { KernelEvent, KernelEventKind, KernelReason } from '../kernel/events.ts';
import type { FlowFacts } from '../kernel/facts.ts';
import { decodeFlow } from '../kernel/layout.ts';
import { isReportedFlow } from './check-report.ts';
import { type ConcludedEnding, completeRecord, concludedReport, type FlowStart } from './complete.ts';
import { refusalText, type UnixPath } from './refusal.ts';

/** How long a closed flow may stay unreported: forty batches of the workers' reports. */
const REPORT_GRACE_MS = 2_000;
/** The same where a worker has not told all: it lives, and says nothing. */
const SILENCE_LIMIT_MS = 60_000;
/** How long a record waits for its attestation. */
const ATTEST_WAIT_MS = 2_000;
/** About a kilobyte each. One source address has 28k ports to a destination: this is nine of them, all busy. */
const MAX_OPEN = 262_144;
/** Thousands may end with their process; those that are concluded for want of room are taken for lost. */
const MAX_CLOSING = MAX_OPEN;
const MAX_WAITING = 16_384;
/** Ids remembered after their record; beyond it the store is asked. */
const MAX_ENDED = 65_536;
/** Deaths remembered: a worker that cannot be kept alive dies at most a few times a second. */
const MAX_DEATHS = 64;

export interface LedgerOptions {
  readonly clock: Clock;
  /** Must settle; a rejection counts as nothing learned. */
  readonly attest: (facts: FlowFacts) => Promise<Attested>;
  /** Takes each record, once, in order of completion. Must not throw. */
  readonly emit: (record: FlowRecord) => void;
  /** Whether an earlier daemon, or this one long ago, recorded the flow. */
  readonly alreadyRecorded: (id: string) => boolean;
  /** CLOCK_BOOTTIME, nanoseconds, before this daemon's listeners were opened. */
  readonly startedNs: bigint;
  /** The same of a daemon that has handed its listeners and flows to this one. */
  readonly listeningSinceNs?: bigint;
  /** Reads what the kernel has told and nobody has read yet: gives it to `kernelEvent`. */
  readonly catchUp: () => void;
  /** The id the kernel gives to the next flow: one that is not lower is of no flow there is. */
  readonly nextId: () => bigint;
  /** RFC 3339 of a CLOCK_BOOTTIME in nanoseconds. */
  readonly timeOf: (bootNs: bigint) => string;
  /** CLOCK_BOOTTIME now, nanoseconds. */
  readonly nowNs: () => bigint;
  /** On `clock`: every report of what ended before has been given to `workerReports`. */
  readonly toldUntilMs: () => number;
  readonly agentName: (agentId: number) => string | null;
  /** Name of the inbound rule with this id; null if the policy has it no longer. */
  readonly inboundRule: (ruleId: number) => string | null;
  /** Path of a Unix socket that is closed to agents, by its id; null: policy closes it no longer. */
  readonly closedSocket?: UnixPath;
  readonly policyRevision: () => string;
  readonly tier: () => string;
  /** Flows of this agent are nobody's business: the daemon's self-test makes them. */
  readonly ignoredAgent?: number;
  readonly limits?: Partial<LedgerLimits>;
}

export interface LedgerLimits {
  readonly maxOpen: number;
  readonly maxClosing: number;
  readonly maxWaiting: number;
  readonly maxEnded: number;
}

export interface LedgerCounters {
  readonly open: number;
  readonly closing: number;
  readonly waiting: number;
  readonly events: Readonly<Record<KernelEventKind, number>>;
  readonly records: number;
  readonly verdicts: Readonly<Record<Verdict, number>>;
  readonly reasons: Readonly<Partial<Record<Reason, number>>>;
  /** Reports of flows whose record was written already. */
  readonly lateReports: number;
  /** Events of flows whose record was written already, other than the `closed` that follows each report. */
  readonly lateEvents: number;
  /** Also those of flows that there have not been. */
  readonly malformedReports: number;
  /** Flows not kept track of from their beginning because the table was full. */
  readonly untracked: number;
  /** Records written without waiting longer for attestation. */
  readonly unattested: number;
  readonly workerDeaths: number;
}

/** What attestation of one flow has come to so far. */
interface Attestation {
  value: Attested | null;
  settled: boolean;
}

interface Tracked {
  readonly start: FlowStart;
  readonly attestation: Attestation;
}

interface Closing extends Tracked {
  readonly facts: FlowFacts;
  readonly closedMs: number;
  readonly closedNs: bigint;
}

interface Waiting extends Tracked {
  readonly report: WorkerFlowReport;
  readonly deadlineMs: number;
}

/** Not a decision, but something that went wrong on the way to the proxy. */
const KERNEL_FAULTS: ReadonlySet<KernelReason> = new Set(['no_listener', 'not_delivered', 'state_lost']);

const SERVED = 'The agent served this connection in plain text, by an inbound rule.';

export class Ledger {
  readonly #options: LedgerOptions;
  readonly #limits: LedgerLimits;
  readonly #open = new Map<string, Tracked>();
  // Both in the order of their deadlines, which is that of insertion: each waits the same time.
  readonly #closing = new Map<string, Closing>();
  readonly #waiting = new Map<string, Waiting>();
  readonly #ended: BoundedMap<string, true>;
  readonly #deaths: { readonly worker: number; readonly atMs: number }[] = [];
  readonly #idle: (() => void)[] = [];
  readonly #events: Record<KernelEventKind, number> = {
    open: 0,
    denied: 0,
    undelivered: 0,
    closed: 0,
    served: 0,
  };
  readonly #verdicts: Record<Verdict, number> = { allow: 0, deny: 0, error: 0 };
  readonly #reasons: Partial<Record<Reason, number>> = {};
  readonly #counts = {
    records: 0,
    lateReports: 0,
    lateEvents: 0,
    malformedReports: 0,
    untracked: 0,
    unattested: 0,
    workerDeaths: 0,
  };

  constructor(options: LedgerOptions) {
    this.#options = options;
    this.#limits = {
      maxOpen: MAX_OPEN,
      maxClosing: MAX_CLOSING,
      maxWaiting: MAX_WAITING,
      maxEnded: MAX_ENDED,
      ...options.limits,
    };
    this.#ended = new BoundedMap(this.#limits.maxEnded);
  }

  /** Flows that are open, for the next daemon to `adopt`. */
  openFlows(): FlowFacts[] {
    return [...this.#open.values()].flatMap(({ start }) => start.facts ?? []);
  }

  adopt(flows: readonly FlowFacts[]): void {
    for (const facts of flows) this.#opened(facts);
  }

  /** Gives out what waits for attestation: the next daemon would not know how it ended. */
  flush(): void {
    for (const flow of [...this.#waiting.values()]) this.#giveOut(flow);
  }

  /** Open flows by the pid they are of. */
  openByPid(): Map<number, number> {
    const counts = new Map<number, number>();
    for (const { start } of this.#open.values()) {
      const pid = start.facts?.pid;
      if (pid !== undefined) counts.set(pid, (counts.get(pid) ?? 0) + 1);
    }
    return counts;
  }

  counters(): LedgerCounters {
    return {
      open: this.#open.size,
      closing: this.#closing.size,
      waiting: this.#waiting.size,
      events: { ...this.#events },
      verdicts: { ...this.#verdicts },
      reasons: { ...this.#reasons },
      ...this.#counts,
    };
  }

  kernelEvent(event: KernelEvent): void {
    const { id, kind } = event;
    const known = this.#open.get(id) ?? this.#closing.get(id);
    const ended = known === undefined && this.#endedHere(id);
    // Decoding the facts is a good part of what an event costs, and most events are about a flow that is known.
    const facts = known?.start.facts ?? (ended ? null : event.facts);
    if (facts !== null && facts.agentId === this.#options.ignoredAgent) return;
    this.#events[kind]++;
    if (facts === null || (known === undefined && this.#endedBefore(id, facts))) {
      if (kind !== 'closed') this.#counts.lateEvents++;
    } else if (kind === 'open') this.#opened(facts);
    else if (kind === 'closed') this.#closed(facts, event.timeNs);
    else if (kind === 'served') this.#served(event, facts);
    else this.#refused(event, facts);
  }

  /** Whose the open flow is, by the kernel's word; undefined: it is not known here. */
  agentOf(id: string): string | null | undefined {
    return (this.#open.get(id) ?? this.#closing.get(id))?.start.agent;
  }

  /** Whether the flow has ended, and its record is still to be given out. */
  isEnding(id: string): boolean {
    return this.#closing.has(id) || this.#waiting.has(id);
  }

  /** Whether its record was given out lately. */
  hasEnded(id: string): boolean {
    return this.#ended.has(id);
  }

  /** Reports as they came, unchecked, from the worker with this number; null: from the forwarder. */
  workerReports(flows: readonly unknown[], worker: number | null): void {
    for (const flow of flows) {
      if (isReportedFlow(flow)) this.#reported({ ...flow.report, worker }, flow.kernel);
      else this.#counts.malformedReports++;
    }
  }

  workerDied(worker: number): void {
    this.#counts.workerDeaths++;
    this.#deaths.push({ worker, atMs: this.#options.clock.monotonic() });
    if (this.#deaths.length > MAX_DEATHS) this.#deaths.shift();
  }

  /** Lets time pass. To be called every 100 ms or so; how often does not change what is recorded. */
  tick(): void {
    const nowMs = this.#options.clock.monotonic();
    const toldMs = Math.min(nowMs, this.#options.toldUntilMs());
    for (const flow of this.#closing.values()) {
      if (flow.closedMs + REPORT_GRACE_MS > toldMs && flow.closedMs + SILENCE_LIMIT_MS > nowMs) break;
      this.#conclude(flow);
    }
    for (const flow of this.#waiting.values()) {
      if (flow.deadlineMs > nowMs) break;
      this.#giveOut(flow);
    }
  }

  /** Resolves when no record waits for its attestation. */
  settled(): Promise<void> {
    if (this.#waiting.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Ends and records every flow there is, with what is known now: the daemon is stopping. */
  finish(): void {
    for (const flow of [...this.#closing.values()]) this.#conclude(flow);
    for (const flow of [...this.#open.values()]) {
      if (flow.start.facts === null) continue;
      this.#endWithout(flow, flow.start.facts, {
        reason: 'daemon_died',
        verdict: 'error',
        disposition: 'unknown',
        totalMs: elapsedMs(flow.start.facts, this.#options.nowNs()),
        worker: null,
      });
    }
    this.flush();
  }

  #endedHere(id: string): boolean {
    return this.#waiting.has(id) || this.#ended.has(id);
  }

  /**
   * Of a flow that is not known here. The store is asked only where memory cannot be enough: flows from before this
   * daemon, and once so many have ended that some are forgotten.
   */
  #endedBefore(id: string, facts: FlowFacts | null): boolean {
    const mayBeForgotten = this.#ended.size >= this.#limits.maxEnded;
    const fromBefore = facts !== null && facts.startNs < this.#options.startedNs;
    return (mayBeForgotten || fromBefore) && this.#options.alreadyRecorded(id);
  }

  #track(facts: FlowFacts): Tracked {
    const { timeOf, agentName, tier } = this.#options;
    const start: FlowStart = {
      facts,
      time: timeOf(facts.startNs),
      agent: agentName(facts.agentId),
      tier: tier(),
      direction: 'outbound',
      refusal: null,
    };
    const attestation: Attestation = { value: null, settled: false };
    const settle = (value: Attested | null): void => {
      attestation.value = value;
      attestation.settled = true;
      const waiting = this.#waiting.get(facts.id);
      if (waiting?.attestation === attestation) this.#giveOut(waiting);
    };
    this.#options.attest(facts).then(settle, () => settle(null));
    return { start, attestation };
  }

  #opened(facts: FlowFacts): void {
    if (this.#open.has(facts.id) || this.#closing.has(facts.id)) return;
    if (this.#open.size >= this.#limits.maxOpen) this.#counts.untracked++;
    else this.#open.set(facts.id, this.#track(facts));
  }

  #closed(facts: FlowFacts, timeNs: bigint): void {
    if (this.#closing.has(facts.id)) return;
    const tracked = this.#open.get(facts.id) ?? this.#track(facts);
    this.#open.delete(facts.id);
    const closedMs = this.#options.clock.monotonic();
    this.#closing.set(facts.id, { ...tracked, facts, closedMs, closedNs: timeNs });
    if (this.#closing.size <= this.#limits.maxClosing) return;
    const oldest = this.#closing.values().next();
    if (!oldest.done) this.#conclude(oldest.value);
  }

  #refused(event: KernelEvent, facts: FlowFacts): void {
    const { timeNs } = event;
    const reason = event.reason ?? (event.kind === 'denied' ? 'egress_denied' : 'not_delivered');
    const tracked = this.#open.get(facts.id) ?? this.#closing.get(facts.id) ?? this.#track(facts);
    const direction = event.inbound === null ? 'outbound' : 'inbound';
    const start: FlowStart = { ...tracked.start, direction, refusal: event.refusal };
    this.#endWithout({ ...tracked, start }, facts, {
      reason,
      verdict: KERNEL_FAULTS.has(reason) ? 'error' : 'deny',
      disposition: 'denied',
      totalMs: elapsedMs(facts, timeNs),
      worker: null,
      detail: refusalText(event, this.#options.closedSocket),
      localPort: event.inbound?.localPort ?? null,
    });
  }

  /** A connection to an agent that a rule lets in, in plain text. */
  #served(event: KernelEvent, facts: FlowFacts): void {
    const { inbound, timeNs } = event;
    const tracked = this.#track(facts);
    const start: FlowStart = { ...tracked.start, direction: 'inbound' };
    this.#endWithout({ ...tracked, start }, facts, {
      reason: 'ok',
      verdict: 'allow',
      disposition: 'exempt',
      totalMs: elapsedMs(facts, timeNs),
      worker: null,
      detail: SERVED,
      rule: inbound === null ? null : this.#options.inboundRule(inbound.rule),
      localPort: inbound?.localPort ?? null,
      bytes: { agent_to_server: inbound?.sent ?? 0, server_to_agent: inbound?.received ?? 0 },
    });
  }

  /**
   * What a worker says of a flow the kernel has told of is only how it went. Of one the kernel has not told of (its ring was
   * full; DNS by datagram) the worker's copy of the kernel's words has to do, but not before it is certain that there is such
   * a flow, and that the kernel's own word is not on its way: else a worker could make records of flows of others
   * before there are any, and the true ones would come too late.
   */
  #reported(report: WorkerFlowReport, kernel: string | null): void {
    const { id } = report;
    if (kernel === null) {
      this.#end(this.#stranger(report), { ...report, id: randomBytes(8).toString('hex') });
      return;
    }
    if (this.#endWith(report)) return;
    const facts = decodeFlow(Buffer.from(kernel, 'hex'));
    if (facts.agentId === this.#options.ignoredAgent) return;
    if (this.#endedHere(id) || this.#endedBefore(id, facts)) {
      this.#counts.lateReports++;
      return;
    }
    this.#options.catchUp();
    if (this.#endWith(report)) return;
    if (this.#endedHere(id)) this.#counts.lateReports++;
    else if (BigInt(`0x${id}`) >= this.#options.nextId()) this.#counts.malformedReports++;
    else this.#end(this.#track(facts), report);
  }

  /** False if the flow is not known to be open. */
  #endWith(report: WorkerFlowReport): boolean {
    const known = this.#open.get(report.id) ?? this.#closing.get(report.id);
    if (known !== undefined) this.#end(known, report);
    return known !== undefined;
  }

  /** A connection to the proxy that the kernel plane did not redirect: there is nobody to attest. */
  #stranger(report: WorkerFlowReport): Tracked {
    const startedMs = this.#options.clock.now() - report.timings.total_ms;
    const time = new Date(Math.max(0, startedMs)).toISOString();
    return {
      start: {
        facts: null,
        time,
        agent: null,
        tier: this.#options.tier(),
        direction: 'outbound',
        refusal: null,
      },
      attestation: { value: null, settled: true },
    };
  }

  /** The flow closed and nobody reported it. */
  #conclude(flow: Closing): void {
    const died = this.#deaths.filter(({ atMs }) => atMs >= flow.closedMs - REPORT_GRACE_MS);
    const workers = new Set(died.map(({ worker }) => worker));
    const [worker = null] = workers;
    const { startedNs, listeningSinceNs = startedNs } = this.#options;
    const fromBefore = flow.facts.startNs < listeningSinceNs;
    this.#endWithout(flow, flow.facts, {
      reason: fromBefore ? 'daemon_died' : workers.size > 0 ? 'worker_died' : 'lost',
      verdict: 'error',
      disposition: 'unknown',
      totalMs: elapsedMs(flow.facts, flow.closedNs),
      worker: !fromBefore && workers.size === 1 ? worker : null,
    });
  }

  #endWithout(flow: Tracked, facts: FlowFacts, ending: Omit<ConcludedEnding, 'policyRevision'>): void {
    this.#end(flow, concludedReport(facts, { ...ending, policyRevision: this.#options.policyRevision() }));
  }

  #end(flow: Tracked, report: WorkerFlowReport): void {
    this.#open.delete(report.id);
    this.#closing.delete(report.id);
    const deadlineMs = this.#options.clock.monotonic() + ATTEST_WAIT_MS;
    const { start, attestation } = flow;
    const waiting = { start, attestation, report, deadlineMs };
    this.#waiting.set(report.id, waiting);
    if (attestation.settled) this.#giveOut(waiting);
    if (this.#waiting.size <= this.#limits.maxWaiting) return;
    const oldest = this.#waiting.values().next();
    if (!oldest.done) this.#giveOut(oldest.value);
  }

  #giveOut(flow: Waiting): void {
    const { report, start, attestation } = flow;
    this.#waiting.delete(report.id);
    this.#ended.set(report.id, true);
    this.#counts.records++;
    if (!attestation.settled) this.#counts.unattested++;
    this.#verdicts[report.verdict]++;
    this.#reasons[report.reason] = (this.#reasons[report.reason] ?? 0) + 1;
    this.#options.emit(completeRecord(report, start, attestation.value));
    if (this.#waiting.size > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}

function elapsedMs(facts: FlowFacts, untilNs: bigint): number {
  return Number((untilNs - facts.startNs) / 1_000n) / 1_000;
}
