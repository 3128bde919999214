/** Facts, events and reports of flows, where only what a test is about needs saying. */
import type { FlowRecord, WorkerFlowReport } from '#src/flow/record.ts';
import { Ledger, type LedgerOptions } from '#src/flowlog/ledger.ts';
import type { Attested } from '#src/identity/attest.ts';
import type { KernelEvent, KernelEventKind } from '#src/kernel/events.ts';
import type { FlowFacts } from '#src/kernel/facts.ts';
import type { ReportedFlow } from '#src/proxy/ipc.ts';
import { flowBytes } from '#test/support/flow-bytes.ts';

export function flowId(number: number): string {
  return number.toString(16).padStart(16, '0');
}

export function facts(id: string, some: Partial<FlowFacts> = {}): FlowFacts {
  return {
    id,
    startNs: 100_000_000_000n,
    netnsCookie: 1n,
    cgroupId: 77n,
    taskStartNs: 50_000_000_000n,
    exeInode: 12n,
    exeDev: 0x800001,
    pid: 4242,
    uid: 1001,
    gid: 1002,
    agentId: 99,
    dstIp: '203.0.113.7',
    dstPort: 80,
    family: 4,
    ...some,
  };
}

export function event(
  kind: KernelEventKind,
  of: FlowFacts,
  reason: KernelEvent['reason'] = null,
  afterMs = 250,
  some: Partial<KernelEvent> = {},
): KernelEvent {
  return {
    kind,
    reason,
    id: of.id,
    facts: of,
    timeNs: of.startNs + BigInt(afterMs) * 1_000_000n,
    refusal: null,
    inbound: null,
    ...some,
  };
}

export function report(id: string, some: Partial<WorkerFlowReport> = {}): WorkerFlowReport {
  return {
    id,
    disposition: 'upgraded',
    verdict: 'allow',
    reason: 'ok',
    detail: null,
    rule: 'web',
    policy_revision: 'abc123def456',
    protocol: 'http',
    operations: null,
    masks: null,
    src: { ip: '127.0.0.1', port: 40_000 },
    dst: {
      ip: '203.0.113.7',
      port: 80,
      host: 'www.example.org',
      host_source: 'http-host',
      name: 'web',
      upstream_port: 443,
    },
    tls: {
      version: 'TLSv1.3',
      cipher: 'TLS_AES_256_GCM_SHA384',
      group: 'X25519MLKEM768',
      server_name: 'www.example.org',
      resumed: false,
      alpn: 'http/1.1',
      peer_sha256: 'ab'.repeat(32),
      agent_sni: null,
      close_notify: true,
    },
    bytes: { agent_to_server: 120, server_to_agent: 4_096 },
    timings: { connect_ms: 1.5, tls_ms: 3.25, total_ms: 12 },
    worker: 1,
    ...some,
  };
}

export function reported(of: FlowFacts, some: Partial<WorkerFlowReport> = {}): ReportedFlow {
  return { kernel: flowBytes(of).toString('hex'), report: report(of.id, some) };
}

export const ATTESTED: Attested = {
  exe: '/usr/bin/curl',
  exeSha256: 'cd'.repeat(32),
  cgroup: '/system.slice/billing.service',
  unit: 'billing.service',
  startedAt: '2026-01-01T00:00:50.000Z',
  spiffeId: 'spiffe://example.org/billing',
  selectors: ['unix:uid:1001'],
  groups: ['finance'],
};

export const EPOCH_MS = Date.UTC(2026, 0, 1);
/** A ledger with everything around it, whose attestations are answered at once unless the test says otherwise. */
export function setUp(some: Partial<LedgerOptions> = {}) {
  const records: FlowRecord[] = [];
  const asked: string[] = [];
  let nowMs = 0;
  const ledger = new Ledger({
    clock: { now: () => EPOCH_MS + nowMs, monotonic: () => nowMs },
    attest: async () => ATTESTED,
    emit: (record) => records.push(record),
    alreadyRecorded: (id) => {
      asked.push(id);
      return false;
    },
    startedNs: 0n,
    catchUp: () => {},
    nextId: () => 1n << 63n,
    timeOf: (ns) => new Date(EPOCH_MS + Number(ns / 1_000_000n)).toISOString(),
    nowNs: () => facts(flowId(0xa)).startNs + 5_000_000_000n,
    toldUntilMs: () => Infinity,
    agentName: (id) => (id === 99 ? 'billing' : null),
    policyRevision: () => 'rev1',
    tier: () => 'lsm',
    inboundRule: (id) => (id === 7 ? 'behind-nginx' : null),
    ...some,
  });
  const pass = (ms: number) => {
    nowMs += ms;
    ledger.tick();
  };
  return { ledger, records, asked, pass };
}
