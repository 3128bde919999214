import t from 'tap';
import type { WorkerFlowReport } from '#src/flow/record.ts';
import { completeRecord, concludedReport, type FlowStart } from '#src/flowlog/complete.ts';
import { ATTESTED, facts, flowId, report } from '#test/unit/flowlog/made.ts';

const ID = flowId(1);
const START: FlowStart = {
  facts: facts(ID),
  time: '2026-01-01T00:01:40.000Z',
  agent: 'billing',
  tier: 'base',
  direction: 'outbound',
  refusal: null,
};

t.test('a reported, attested flow', async (t) => {
  t.strictSame(completeRecord(report(ID), START, ATTESTED), {
    ...report(ID),
    schema: 1,
    time: START.time,
    agent: 'billing',
    direction: 'outbound',
    technique: null,
    suppressed: 0,
    tier: 'base',
    src: {
      pid: 4242,
      uid: 1001,
      gid: 1002,
      started: '2026-01-01T00:00:50.000Z',
      exe: '/usr/bin/curl',
      exe_sha256: 'cd'.repeat(32),
      cgroup: '/system.slice/billing.service',
      unit: 'billing.service',
      ip: '127.0.0.1',
      port: 40_000,
    },
    identity: {
      spiffe_id: 'spiffe://example.org/billing',
      selectors: ['unix:uid:1001'],
      groups: ['finance'],
    },
  });
});

t.test("the kernel's word stands against the worker's", async (t) => {
  const lie = report(ID, { dst: { ...report(ID).dst, ip: '198.51.100.1', port: 1 } });
  const record = completeRecord(lie, START, ATTESTED);
  t.equal(record.dst.ip, '203.0.113.7');
  t.equal(record.dst.port, 80);
});

t.test('nothing a worker adds gets in', async (t) => {
  const hold = {
    time: START.time,
    what: 'DELETE t',
    rule: 'r',
    waited_ms: 1,
    outcome: 'approved',
    by: { uid: 0, user: 'root', login: null, password: 'secret' },
    reason: null,
    text: 'secret',
  };
  const more = {
    ...report(ID),
    payload: 'secret',
    agent: 'root',
    tls: { ...report(ID).tls, key: 'secret' },
    dst: { ...report(ID).dst, query: 'secret' },
    operations: { total: 1, denied: 0, held: 1, approved: 1, observed: 0, holds: [hold], sql: 'secret' },
  };
  const record = completeRecord(more as unknown as WorkerFlowReport, START, ATTESTED);
  t.notMatch(JSON.stringify(record), /secret/);
  t.equal(record.agent, 'billing');
  t.match(record.operations?.holds, [{ what: 'DELETE t', by: { user: 'root' } }]);
});

t.test('without attestation: what the kernel said', async (t) => {
  const record = completeRecord(report(ID), START, null);
  t.equal(record.src.pid, 4242);
  t.equal(record.src.exe, null);
  t.strictSame(record.identity, {
    spiffe_id: null,
    selectors: ['unix:uid:1001', 'unix:gid:1002'],
    groups: [],
  });
});

t.test('without facts: what the worker saw', async (t) => {
  const record = completeRecord(report(ID), { ...START, facts: null, agent: null }, null);
  t.equal(record.src.pid, null);
  t.equal(record.src.ip, '127.0.0.1');
  t.equal(record.dst.ip, '203.0.113.7');
  t.strictSame(record.identity.selectors, []);
});

t.test('an ending nobody reported says why in a sentence', async (t) => {
  const ending = {
    reason: 'no_listener',
    verdict: 'error',
    disposition: 'denied',
    policyRevision: 'r1',
    totalMs: -3,
    worker: null,
  } as const;
  const record = completeRecord(concludedReport(facts(ID), ending), START, ATTESTED);
  t.match(record.detail, /^There is no marked listener/);
  t.equal(record.timings.total_ms, 0);
  t.equal(record.dst.ip, '203.0.113.7');
  t.equal(record.policy_revision, 'r1');
});
