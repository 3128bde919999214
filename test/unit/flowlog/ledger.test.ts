import t from 'tap';
import type { FlowRecord } from '#src/flow/record.ts';
import type { Attested } from '#src/identity/attest.ts';
import type { KernelReason } from '#src/kernel/events.ts';
import type { FlowFacts } from '#src/kernel/facts.ts';
import {
  ATTESTED,
  EPOCH_MS,
  event,
  facts,
  flowId,
  report,
  reported,
  setUp,
} from '#test/unit/flowlog/made.ts';

const A = facts(flowId(0xa));

/** Lets attestations that have been answered arrive. */
const arrive = () => new Promise<void>((resolve) => setImmediate(resolve));

t.test('open, report, closed: the record of a flow', async (t) => {
  const { ledger, records, pass, asked } = setUp();
  ledger.kernelEvent(event('open', A));
  t.equal(ledger.counters().open, 1);
  t.same([...ledger.openByPid()], [[A.pid, 1]]);
  await arrive();
  ledger.workerReports([reported(A)], 1);
  ledger.kernelEvent(event('closed', A));
  pass(10_000);
  t.equal(records.length, ledger.hasEnded(A.id) ? 1 : 0);
  t.match(records[0], {
    id: A.id,
    time: '2026-01-01T00:01:40.000Z',
    agent: 'billing',
    reason: 'ok',
    src: { exe: '/usr/bin/curl' },
  });
  t.strictSame(asked, [], 'the store is not asked for what is known');
  t.match(ledger.counters(), { open: 0, closing: 0, waiting: 0, records: 1, lateEvents: 0, lateReports: 0 });
});

t.test('a worker that has not told all by then is waited for, but not for ever', async (t) => {
  let toldMs = 0;
  const { ledger, records, pass } = setUp({ toldUntilMs: () => toldMs });
  for (const flow of [A, facts(flowId(0xb))])
    for (const kind of ['open', 'closed'] as const) ledger.kernelEvent(event(kind, flow));
  await arrive();
  pass(30_000);
  ledger.workerReports([reported(A)], 1);
  toldMs = 1_999;
  pass(1);
  t.match(records, [{ id: A.id, reason: 'ok' }], 'the other may be in its next batch');
  toldMs += 1;
  pass(1);
  t.match(records[1], { id: flowId(0xb), reason: 'lost', tier: 'lsm' });
  ledger.kernelEvent(event('closed', facts(flowId(0xc))));
  await arrive();
  pass(60_000);
  t.match(records[2], { reason: 'lost' }, 'it lives, and says nothing');
});

t.test('closed before the report, as batches make it', async (t) => {
  const { ledger, records, pass } = setUp();
  ledger.kernelEvent(event('open', A));
  ledger.kernelEvent(event('closed', A));
  t.match({ ...ledger.counters(), ending: ledger.isEnding(A.id) }, { open: 0, closing: 1, ending: true });
  pass(1_999);
  t.equal(records.length, 0);
  ledger.workerReports([reported(A)], 1);
  await arrive();
  pass(10_000);
  t.strictSame(
    records.map((record) => record.reason),
    ['ok'],
  );
});

t.test('the ring lost `open`, or everything', async (t) => {
  for (const inputs of [['closed', 'report'], ['report', 'closed'], ['report']]) {
    const { ledger, records, pass } = setUp();
    for (const input of inputs) {
      if (input === 'report') ledger.workerReports([reported(A)], 1);
      else ledger.kernelEvent(event('closed', A));
    }
    await arrive();
    pass(10_000);
    t.strictSame(
      records.map((record) => record.reason),
      ['ok'],
      inputs.join(),
    );
    t.equal(records[0]?.agent, 'billing');
  }
});

t.test('closed and never reported: lost', async (t) => {
  const { ledger, records, pass } = setUp();
  ledger.kernelEvent(event('open', A));
  ledger.kernelEvent(event('closed', A, null, 1_500));
  await arrive();
  pass(2_000);
  t.match(records, [
    { reason: 'lost', verdict: 'error', disposition: 'unknown', worker: null, timings: { total_ms: 1_500 } },
  ]);
  ledger.workerReports([reported(A)], 1);
  t.equal(records.length, 1);
  t.equal(ledger.counters().lateReports, 1);
});

t.test('a worker died, just before or after: worker_died, and which if it was one', async (t) => {
  for (const order of ['before', 'after']) {
    const { ledger, records, pass } = setUp();
    ledger.kernelEvent(event('open', A));
    pass(60_000);
    if (order === 'before') ledger.workerDied(3);
    ledger.kernelEvent(event('closed', A));
    pass(1_000);
    if (order === 'after') ledger.workerDied(3);
    await arrive();
    pass(1_000);
    t.match(records, [{ reason: 'worker_died', verdict: 'error', worker: 3 }], order);
  }
  const { ledger, records, pass } = setUp();
  ledger.workerDied(1);
  ledger.workerDied(2);
  ledger.kernelEvent(event('closed', A));
  await arrive();
  pass(2_000);
  t.match(records, [{ reason: 'worker_died', worker: null }]);
});

t.test('a death long ago is not to blame', async (t) => {
  const { ledger, records, pass } = setUp();
  ledger.kernelEvent(event('open', A));
  ledger.workerDied(3);
  pass(60_000);
  ledger.kernelEvent(event('closed', A));
  await arrive();
  pass(2_000);
  t.match(records, [{ reason: 'lost' }]);
});

t.test('a report beats the death of its worker', async (t) => {
  const { ledger, records, pass } = setUp();
  ledger.kernelEvent(event('open', A));
  ledger.workerDied(1);
  ledger.kernelEvent(event('closed', A));
  ledger.workerReports([reported(A)], 1);
  await arrive();
  pass(10_000);
  t.match(records, [{ reason: 'ok' }]);
});

t.test('refused by the kernel: at once, with its reason', async (t) => {
  const cases: readonly ['denied' | 'undelivered', KernelReason, string][] = [
    ['denied', 'udp_denied', 'deny'],
    ['denied', 'proxy_direct', 'deny'],
    ['denied', 'egress_denied', 'deny'],
    ['denied', 'no_listener', 'error'],
    ['denied', 'state_lost', 'error'],
    ['undelivered', 'not_delivered', 'error'],
  ];
  for (const [kind, reason, verdict] of cases) {
    const { ledger, records } = setUp();
    if (kind === 'undelivered') ledger.kernelEvent(event('open', A));
    ledger.kernelEvent(event(kind, A, reason, 3));
    await arrive();
    t.match(
      records,
      [{ reason, verdict, disposition: 'denied', policy_revision: 'rev1', worker: null }],
      reason,
    );
    t.equal(records[0]?.timings.total_ms, 3);
    ledger.kernelEvent(event(kind, A, reason));
    t.equal(records.length, 1);
    t.equal(ledger.counters().lateEvents, 1);
  }
});

t.test('somebody who is no agent has a record, but nobody to attest', async (t) => {
  const { ledger, records } = setUp();
  ledger.workerReports(
    [
      {
        kernel: null,
        report: report(flowId(7), { reason: 'not_an_agent', verdict: 'deny', disposition: 'denied' }),
      },
    ],
    1,
  );
  t.match(records, [{ reason: 'not_an_agent', agent: null, src: { pid: null, ip: '127.0.0.1' } }]);
});

t.test('what a worker says of another flow does not stand against the kernel', async (t) => {
  const { ledger, records } = setUp();
  ledger.kernelEvent(event('open', A));
  await arrive();
  ledger.workerReports([reported({ ...A, uid: 0, pid: 1, agentId: 5, dstIp: '198.51.100.9' })], 1);
  t.match(records, [{ agent: 'billing', src: { uid: 1001, pid: 4242 }, dst: { ip: '203.0.113.7' } }]);
});

t.test("flows of the self-test are nobody else's business", async (t) => {
  const { ledger, records, pass } = setUp({ ignoredAgent: A.agentId });
  ledger.kernelEvent(event('open', A));
  ledger.workerReports([reported(A)], 1);
  ledger.kernelEvent(event('closed', A));
  ledger.kernelEvent(event('denied', { ...A, id: flowId(0xc), agentId: 5 }, 'udp_denied'));
  await arrive();
  pass(5_000);
  t.match(records, [{ id: flowId(0xc) }]);
  t.match(ledger.counters(), { records: 1, events: { open: 0, closed: 0, denied: 1 }, lateReports: 0 });
});

t.test("a report that comes before the kernel's word is taken with the facts it brings", async (t) => {
  const { ledger, records } = setUp();
  ledger.workerReports([reported(A)], 1);
  await arrive();
  ledger.kernelEvent(event('open', A));
  ledger.kernelEvent(event('closed', A));
  t.match(records, [{ id: A.id, agent: 'billing', src: { pid: A.pid, uid: A.uid }, dst: { ip: A.dstIp } }]);
  t.match(ledger.counters(), { open: 0, closing: 0, lateEvents: 1 });
});

t.test('a malformed report is counted, and the flow still gets its record', async (t) => {
  const { ledger, records, pass } = setUp();
  ledger.kernelEvent(event('open', A));
  ledger.workerReports([{ ...reported(A), report: { id: A.id } }, null], 1);
  ledger.kernelEvent(event('closed', A));
  await arrive();
  pass(2_000);
  t.match(records, [{ reason: 'lost' }]);
  t.equal(ledger.counters().malformedReports, 2);
});

t.test('after a restart: what the last daemon did not record died with it', async (t) => {
  const recorded = new Set([flowId(1)]);
  const { ledger, records, pass } = setUp({
    startedNs: A.startNs + 1n,
    alreadyRecorded: (id) => recorded.has(id),
  });
  ledger.kernelEvent(event('closed', facts(flowId(1))));
  ledger.kernelEvent(event('closed', facts(flowId(2))));
  ledger.kernelEvent(event('closed', facts(flowId(3), { startNs: A.startNs + 2n })));
  await arrive();
  pass(2_000);
  t.strictSame(
    records.map(({ id, reason }) => [id, reason]),
    [
      [flowId(2), 'daemon_died'],
      [flowId(3), 'lost'],
    ],
  );
});

t.test('records wait for attestation, though not for ever, and overtake each other', async (t) => {
  const answers = new Map<string, PromiseWithResolvers<Attested>>();
  const attest = (flow: FlowFacts) => {
    const answer = Promise.withResolvers<Attested>();
    answers.set(flow.id, answer);
    return answer.promise;
  };
  const { ledger, records, pass } = setUp({ attest });
  const all = [1, 2, 3, 4].map((number) => facts(flowId(number)));
  for (const flow of all) ledger.kernelEvent(event('open', flow));
  for (const flow of all) ledger.workerReports([reported(flow)], 1);
  t.equal(ledger.counters().waiting, 4);
  answers.get(flowId(3))?.resolve(ATTESTED);
  await arrive();
  answers.get(flowId(1))?.reject(new Error('no'));
  await arrive();
  const settled = ledger.settled();
  pass(2_000);
  await settled;
  t.strictSame(
    records.map(({ id, src }) => [id, src.exe]),
    [
      [flowId(3), '/usr/bin/curl'],
      [flowId(1), null],
      [flowId(2), null],
      [flowId(4), null],
    ],
  );
  t.equal(ledger.counters().unattested, 2);
  answers.get(flowId(2))?.resolve(ATTESTED);
  await arrive();
  t.equal(records.length, 4, 'too late is not a second record');
});

t.test('every table is bounded, and a bound costs no record', async (t) => {
  const limits = { maxOpen: 2, maxClosing: 2, maxWaiting: 2, maxEnded: 2 };
  const seen = new Set<string>();
  const { ledger, records, pass } = setUp({
    limits,
    alreadyRecorded: (id) => seen.has(id),
    attest: () => new Promise(() => undefined),
    emit: (record) => {
      seen.add(record.id);
      records.push(record);
    },
  });
  const all = Array.from({ length: 10 }, (_, number) => facts(flowId(number + 1)));
  for (const flow of all) ledger.kernelEvent(event('open', flow));
  t.match(ledger.counters(), { open: 2, untracked: 8 });
  for (const flow of all) ledger.kernelEvent(event('closed', flow));
  t.ok(ledger.counters().closing <= 2);
  for (const flow of all) ledger.workerReports([reported(flow)], 1);
  t.ok(ledger.counters().waiting <= 2);
  pass(10_000);
  pass(10_000);
  t.strictSame(
    [...seen].sort(),
    all.map((flow) => flow.id),
  );
  t.equal(records.length, 10);
});

t.test('the daemon stops: every flow is ended and recorded', async (t) => {
  const { ledger, records } = setUp({ attest: () => new Promise(() => undefined) });
  const [open, closing, waiting] = [1, 2, 3].map((number) => facts(flowId(number)));
  if (open === undefined || closing === undefined || waiting === undefined) throw new Error('three');
  for (const flow of [open, closing, waiting]) ledger.kernelEvent(event('open', flow));
  ledger.kernelEvent(event('closed', closing));
  ledger.workerReports([reported(waiting)], 1);
  ledger.finish();
  t.strictSame(records.map(({ id, reason, timings }) => [id, reason, timings.total_ms]).sort(), [
    [flowId(1), 'daemon_died', 5_000],
    [flowId(2), 'lost', 250],
    [flowId(3), 'ok', 12],
  ]);
  await ledger.settled();
});

/** Small, seeded, and good enough to shuffle with (xorshift32): a failure names its seed. */
function random(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

type Input = 'open' | 'closed' | 'report' | 'denied' | 'undelivered';

/** What may be said of one flow; any part of it may be lost or come out of order, but that it ended is said. */
function story(pick: (below: number) => number): Input[] {
  const stories: readonly Input[][] = [
    ['open', 'report', 'closed'],
    ['open', 'closed', 'report'],
    ['report', 'closed'],
    ['report'],
    ['closed'],
    ['open', 'closed'],
    ['denied'],
    ['open', 'undelivered'],
    ['undelivered'],
    ['closed', 'open', 'report'],
    ['report', 'open', 'closed'],
    ['open', 'report', 'closed', 'report', 'closed'],
    ['denied', 'denied'],
  ];
  return [...(stories[pick(stories.length)] ?? [])];
}

async function scenario(seed: number): Promise<string | null> {
  const pick = random(seed);
  const store: FlowRecord[] = [];
  const stored = new Set<string>();
  let nowMs = 0;
  const boot = (ms: number) => BigInt(ms) * 1_000_000n;
  const late: (() => void)[] = [];
  const start = () =>
    setUp({
      clock: { now: () => EPOCH_MS + nowMs, monotonic: () => nowMs },
      attest: () => {
        const answer = Promise.withResolvers<Attested>();
        const how = pick(4);
        if (how === 0) answer.resolve(ATTESTED);
        else if (how === 1) answer.reject(new Error('gone'));
        else if (how === 2) late.push(() => answer.resolve(ATTESTED));
        return answer.promise;
      },
      emit: (record) => {
        store.push(record);
        stored.add(record.id);
      },
      alreadyRecorded: (id) => stored.has(id),
      startedNs: boot(nowMs),
      nowNs: () => boot(nowMs),
      agentName: () => 'billing',
      tier: () => 'base',
      limits: { maxOpen: 8, maxClosing: 6, maxWaiting: 5, maxEnded: 4 },
    }).ledger;
  let ledger = start();
  const flows = Array.from({ length: 30 }, (_, index) => ({
    facts: null as FlowFacts | null,
    id: flowId(seed * 100 + index + 1),
    inputs: story(pick),
  }));
  const expected = flows.map((flow) => flow.id);
  while (flows.length > 0) {
    nowMs += 1 + pick(400);
    const action = pick(20);
    if (action === 0) ledger.workerDied(pick(3));
    else if (action === 1) {
      ledger.finish();
      ledger = start();
    } else if (action === 2) ledger.tick();
    else if (action === 3) {
      for (const answer of late.splice(0)) answer();
      await arrive();
    } else {
      const flow = flows[pick(flows.length)];
      const input = flow?.inputs.shift();
      if (flow === undefined || input === undefined) continue;
      flow.facts ??= facts(flow.id, { startNs: boot(nowMs) });
      if (input === 'report') ledger.workerReports([reported(flow.facts)], 1);
      else ledger.kernelEvent(event(input, flow.facts, input === 'denied' ? 'udp_denied' : null));
      if (flow.inputs.length === 0) flows.splice(flows.indexOf(flow), 1);
    }
  }
  for (let round = 0; round < 3; round++) {
    nowMs += 2_000;
    ledger.tick();
    await arrive();
  }
  const ids = store.map((record) => record.id).sort();
  const counters = ledger.counters();
  if (ids.join() !== expected.sort().join()) return `records of ${ids.join()}, flows ${expected.join()}`;
  if (counters.closing + counters.waiting > 0) return JSON.stringify(counters);
  return null;
}

t.test(
  'any interleaving of events, reports, deaths and restarts gives one record to each flow',
  async (t) => {
    for (let seed = 1; seed <= 400; seed++) {
      const wrong = await scenario(seed * 7_919);
      if (wrong !== null) {
        t.fail(`seed ${seed * 7_919}: ${wrong}`);
        return;
      }
    }
    t.pass('400 scenarios of 30 flows');
  },
);

t.test('a refusal says what was tried and how many like it were not told', async (t) => {
  const { ledger, records } = setUp();
  const refusal = {
    technique: 'so_bindtodevice',
    suppressed: 41,
    protocol: 6,
    detail: (1 << 16) | 25,
  } as const;
  ledger.kernelEvent(event('denied', A, 'option_denied', 0, { refusal }));
  await arrive();
  t.match(records, [
    {
      direction: 'outbound',
      technique: 'so_bindtodevice',
      suppressed: 41,
      detail: /^setsockopt\(SOL_SOCKET, SO_BINDTODEVICE\): /,
    },
  ]);
});

t.test('who asked an agent for service, and was served or not', async (t) => {
  const { ledger, records } = setUp();
  const refusal = { technique: 'inbound_tcp', suppressed: 0, protocol: 6, detail: 0 } as const;
  const inbound = { localPort: 8080, rule: 0, received: 0, sent: 0 };
  ledger.kernelEvent(event('denied', A, 'inbound_denied', 0, { refusal, inbound }));
  const served = { inbound: { localPort: 8080, rule: 7, received: 10, sent: 20 } };
  ledger.kernelEvent(event('served', { ...A, id: flowId(0xb) }, null, 250, served));
  const former = { inbound: { ...inbound, rule: 8 } };
  ledger.kernelEvent(event('served', { ...A, id: flowId(0xc) }, null, 250, former));
  await arrive();
  t.match(records, [
    {
      direction: 'inbound',
      disposition: 'denied',
      technique: 'inbound_tcp',
      src: { pid: 4242, port: 8080 },
    },
    {
      direction: 'inbound',
      disposition: 'exempt',
      verdict: 'allow',
      rule: 'behind-nginx',
      bytes: { agent_to_server: 20, server_to_agent: 10 },
      timings: { total_ms: 250 },
    },
    { rule: null },
  ]);
});
