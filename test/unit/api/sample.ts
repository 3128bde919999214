/** A flow record, a status and a backend for tests of the API and of the CLI. */

import { EventEmitter } from 'node:events';
import { ApiError } from '#src/api/errors.ts';
import type { FlowFilter } from '#src/api/flow-filter.ts';
import { flowMatcher } from '#src/api/flow-filter.ts';
import type {
  AgentList,
  AgentProcess,
  ApiBackend,
  Enrolled,
  EnrolRequest,
  HoldAnswered,
  HoldList,
  HoldStatus,
  PolicyApplied,
  PolicyDocument,
  RunGranted,
  RunReleased,
  SelfTestStatus,
  Status,
  WorkersRestarted,
} from '#src/api/types.ts';
import { SluiceError } from '#src/core/errors.ts';
import type { Answerer } from '#src/flow/hold.ts';
import type { FlowRecord } from '#src/flow/record.ts';

/** An upgraded PostgreSQL flow; `number` makes id, time and source port its own. */
export function sampleRecord(number: number, change: Partial<FlowRecord> = {}): FlowRecord {
  return {
    schema: 1,
    id: number.toString(16).padStart(16, '0'),
    time: new Date(Date.UTC(2026, 0, 31, 12, 0, number)).toISOString(),
    agent: 'billing',
    direction: 'outbound',
    technique: null,
    suppressed: 0,
    operations: null,
    masks: null,
    disposition: 'upgraded',
    verdict: 'allow',
    reason: 'ok',
    detail: null,
    rule: 'billing-may-use-db',
    policy_revision: '0123456789ab',
    protocol: 'postgres',
    tier: 'base',
    src: {
      pid: 4242,
      uid: 1001,
      gid: 1001,
      started: '2026-01-31T11:00:00.000Z',
      exe: '/usr/bin/psql',
      exe_sha256: null,
      cgroup: '/sluice/run/billing',
      unit: null,
      ip: '127.0.0.1',
      port: 40_000 + number,
    },
    dst: {
      ip: '192.0.2.10',
      port: 5432,
      host: 'db.example.org',
      host_source: 'policy',
      name: 'main-db',
      upstream_port: 5432,
    },
    identity: { spiffe_id: 'spiffe://example.org/billing', selectors: ['unix:uid:1001'], groups: [] },
    tls: null,
    bytes: { agent_to_server: 1536, server_to_agent: 20_480 },
    timings: { connect_ms: 1.5, tls_ms: 3.25, total_ms: 42.4 },
    worker: 0,
    ...change,
  };
}

export function sampleStatus(change: Partial<Status> = {}): Status {
  return {
    version: '0.1.0',
    pid: 100,
    startedAt: '2026-01-31T11:00:00.000Z',
    enforcing: true,
    reasons: [],
    tier: 'base',
    tierReason: 'the kernel does not load programs for the BPF LSM',
    programs: [
      { name: 'sluice_connect4', attachType: 'cgroup_inet4_connect', effective: true, pinned: true },
    ],
    listeners: [{ ip: '127.0.0.1', port: 15_001, netns: 'host' }],
    draining: [],
    workers: [
      { number: 0, pid: 101, openFlows: 1, accepted: 7, refused: 0, restarts: 0, outOfDescriptors: false },
    ],
    policy: {
      revision: '0123456789ab',
      path: '/etc/sluice/policy.yaml',
      loadedAt: '2026-01-31T11:00:00.000Z',
      lastError: null,
    },
    ledger: { open: 1, allowed: 5, denied: 1, errors: 0, lost: 0 },
    counters: { 'kernel.refused.udp_denied': 3, 'ledger.lateReports': 0 },
    holds: {
      waiting: 2,
      oldestSeconds: 40.5,
      ended: [
        { outcome: 'approved', count: 5, seconds: 61.5 },
        { outcome: 'denied', count: 0, seconds: 0 },
        { outcome: 'timed_out', count: 1, seconds: 300 },
      ],
    },
    outcomes: [
      { disposition: 'upgraded', reason: 'ok', count: 7 },
      { disposition: 'denied', reason: 'no_rule', count: 2 },
    ],
    rings: { flow: { received: 14, lost: 0 }, deny: { received: 1, lost: 0 } },
    denials: [{ agent: 'billing', technique: 'sendto', count: 3 }],
    tables: [{ name: 'processes', size: 65_536, refused: 0 }],
    store: { ok: true, error: null, path: '/var/lib/sluice/flows.db', rows: 6, bytes: 16_384, dropped: 0 },
    selfTest: { at: '2026-01-31T11:00:01.000Z', ok: true, detail: 'canary refused as it should be' },
    ...change,
  };
}

/** Answers from its public fields, and keeps what it was asked. */
export class FakeBackend implements ApiBackend {
  statusAnswer: Status = sampleStatus();
  records: FlowRecord[] = [];
  applied: PolicyDocument[] = [];
  policyError: Error | null = null;
  runs: string[] = [];
  runAnswer: RunGranted = { cgroupPath: '/nonexistent/cgroup', agentKnown: true };
  released: string[] = [];
  agentList: AgentProcess[] = [];
  enrolled: EnrolRequest[] = [];
  enrolAnswer: Enrolled | null = null;
  holdList: HoldStatus[] = [];
  answeredHolds: HoldAnswered[] = [];
  answeredBy: Answerer[] = [];
  selfTestAnswer: SelfTestStatus = { at: '2026-01-31T12:00:00.000Z', ok: true, detail: 'canary refused' };
  /** Tests have more clients than Node takes for a leak. */
  readonly #live = new EventEmitter<{
    flow: [FlowRecord];
    hold: [HoldStatus];
    listening: [];
  }>().setMaxListeners(0);

  async status(): Promise<Status> {
    return this.statusAnswer;
  }

  async flows(filter: FlowFilter): Promise<readonly FlowRecord[]> {
    return this.records.filter(flowMatcher(filter)).slice(-filter.limit);
  }

  onFlow(listener: (record: FlowRecord) => void): () => void {
    this.#live.on('flow', listener);
    this.#live.emit('listening');
    return () => this.#live.off('flow', listener);
  }

  get followers(): number {
    return this.#live.listenerCount('flow');
  }

  emit(record: FlowRecord): void {
    this.#live.emit('flow', record);
  }

  /** Resolves when the next client begins to follow. */
  followed(): Promise<void> {
    return new Promise((resolve) => this.#live.once('listening', () => setImmediate(resolve)));
  }

  async applyPolicy(document: PolicyDocument): Promise<PolicyApplied> {
    if (this.policyError !== null) throw this.policyError;
    this.applied.push(document);
    return { revision: 'ba9876543210' };
  }

  async createRun(name: string): Promise<RunGranted> {
    this.runs.push(name);
    return this.runAnswer;
  }

  async releaseRun(cgroupPath: string): Promise<RunReleased> {
    this.released.push(cgroupPath);
    if (cgroupPath !== this.runAnswer.cgroupPath) throw new SluiceError('CONFIG', 'not a cgroup of a run');
    return { removed: true };
  }

  async holds(): Promise<HoldList> {
    return { holds: this.holdList };
  }

  onHold(listener: (hold: HoldStatus) => void): () => void {
    this.#live.on('hold', listener);
    this.#live.emit('listening');
    return () => this.#live.off('hold', listener);
  }

  emitHold(hold: HoldStatus): void {
    this.#live.emit('hold', hold);
  }

  async answerHold(answer: HoldAnswered, by: Answerer): Promise<HoldStatus> {
    this.answeredHolds.push(answer);
    this.answeredBy.push(by);
    const found = this.holdList.find(({ id }) => id === answer.id);
    if (found === undefined) throw new ApiError('NOT_FOUND', 'nothing waits under that id');
    return found;
  }

  async agents(limit: number): Promise<AgentList> {
    return { agents: this.agentList.slice(0, limit), total: this.agentList.length };
  }

  async enrol(request: EnrolRequest): Promise<Enrolled> {
    this.enrolled.push(request);
    if (this.enrolAnswer === null)
      throw new SluiceError('CONFIG', `no process ${request.target} runs`, {
        hint: 'give a pid of this host',
      });
    return this.enrolAnswer;
  }

  async restartWorkers(): Promise<WorkersRestarted> {
    return { draining: [{ number: 0, pid: 99, openFlows: 2, until: '2026-01-31T13:00:00.000Z' }] };
  }

  async selfTest(): Promise<SelfTestStatus> {
    return this.selfTestAnswer;
  }
}

export function sampleAgent(change: Partial<AgentProcess> = {}): AgentProcess {
  return {
    pid: 4711,
    agent: 'billing',
    reason: 'cgroup',
    inherited: false,
    wasRunning: false,
    since: '2026-01-31T12:00:00.000Z',
    startedAt: '2026-01-31T11:59:59.000Z',
    uid: 1001,
    exe: '/usr/bin/billing',
    cgroup: '/system.slice/billing.service',
    sockets: { internet: 2, ungoverned: 0, other: 3 },
    flows: 1,
    ...change,
  };
}
