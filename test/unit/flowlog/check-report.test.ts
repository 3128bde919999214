import t from 'tap';
import { isReportedFlow } from '#src/flowlog/check-report.ts';
import type { FlowFacts } from '#src/kernel/facts.ts';
import { event, facts, flowId, report, reported, setUp } from '#test/unit/flowlog/made.ts';

const GOOD = reported(facts(flowId(1)));
const A = facts(flowId(0xa));

t.test('takes what workers send', async (t) => {
  t.ok(isReportedFlow(GOOD));
  t.ok(isReportedFlow({ kernel: null, report: report(flowId(1), { tls: null, worker: null }) }));
});

/** All ways to the values of an object: [['report', 'id'], …]. */
function paths(value: object, at: readonly string[] = []): (readonly string[])[] {
  return Object.entries(value).flatMap(([name, inner]) => [
    [...at, name],
    ...(typeof inner === 'object' && inner !== null ? paths(inner, [...at, name]) : []),
  ]);
}

function replaced(value: object, path: readonly string[], by: unknown): object {
  const [name = '', ...rest] = path;
  const inner: unknown = Object.entries(value).find(([key]) => key === name)?.[1];
  const next = rest.length === 0 ? by : replaced(typeof inner === 'object' && inner ? inner : {}, rest, by);
  return { ...value, [name]: next };
}

t.test('refuses every field with another shape, and its absence', async (t) => {
  const wrong = [
    undefined,
    Symbol('x'),
    () => 1,
    [],
    'x'.repeat(2_000),
    -1,
    1.5e300,
    Number.NaN,
    Number.POSITIVE_INFINITY,
  ];
  let tried = 0;
  for (const path of paths(GOOD)) {
    for (const value of wrong) {
      tried++;
      if (isReportedFlow(replaced(GOOD, path, value))) t.fail(`${path.join('.')} = ${String(value)}`);
    }
  }
  t.ok(tried > 300);
});

t.test('refuses what cannot be a flow of the kernel', async (t) => {
  const hex = GOOD.kernel ?? '';
  for (const kernel of [
    '',
    hex.slice(2),
    `${hex}00`,
    `${hex.slice(0, -1)}g`,
    `${hex.slice(0, -1)}\n`,
    hex.toUpperCase(),
  ])
    t.notOk(isReportedFlow({ ...GOOD, kernel }), kernel);
});

t.test('refuses values of an enumeration it does not know', async (t) => {
  for (const field of ['reason', 'verdict', 'disposition', 'protocol'] as const) {
    t.notOk(isReportedFlow(replaced(GOOD, ['report', field], 'toString')), field);
  }
});

t.test('refuses a report with the facts of another flow', async (t) => {
  t.notOk(isReportedFlow({ ...reported(facts(flowId(2))), report: report(flowId(1)) }));
});

t.test('refuses what is no object at all', async (t) => {
  for (const value of [null, undefined, 1, 'x', [], {}]) t.notOk(isReportedFlow(value));
});

/** Lets attestations that have been answered arrive. */
const arrive = () => new Promise<void>((resolve) => setImmediate(resolve));

t.test('a worker cannot speak of a flow before the kernel has', async (t) => {
  const own = facts(flowId(0xa1), { agentId: 99, pid: 1 });
  const claimed = { ...own, pid: 4_711, agentId: 0x5eed };
  let unread: FlowFacts[] = [];
  const { ledger, records } = setUp({
    nextId: () => 0xa1n,
    catchUp: () => {
      for (const flow of unread) ledger.kernelEvent(event('open', flow));
      unread = [];
    },
  });
  ledger.workerReports([reported(claimed)], 1);
  await arrive();
  t.same(records, [], 'there has been no such flow');
  t.match(ledger.counters(), { malformedReports: 1, records: 0 });
  ledger.kernelEvent(event('open', own));
  ledger.workerReports([reported(own)], 1);
  await arrive();
  t.match(records, [{ id: own.id, agent: 'billing', src: { pid: 1 } }], 'nor is the true one kept out by it');

  const next = { ...own, id: flowId(0xa0) };
  unread = [next];
  ledger.workerReports([reported({ ...claimed, id: next.id })], 1);
  await arrive();
  t.match(
    records[1],
    { id: next.id, agent: 'billing', src: { pid: 1 } },
    'the kernel had told, and was read first',
  );
});

t.test('which worker it was, the daemon says', async (t) => {
  const { ledger, records } = setUp();
  ledger.workerReports([reported(A, { worker: 7 })], 2);
  await arrive();
  t.match(records, [{ id: A.id, worker: 2 }]);
});

t.test('who is nobody’s flow has no id of a flow', async (t) => {
  const { ledger, records } = setUp();
  ledger.kernelEvent(event('open', A));
  ledger.workerReports(
    [{ kernel: null, report: report(A.id, { reason: 'not_an_agent', verdict: 'deny' }) }],
    1,
  );
  await arrive();
  t.equal(ledger.counters().open, 1);
  t.match(records, [{ agent: null, reason: 'not_an_agent', src: { pid: null } }]);
  t.not(records[0]?.id, A.id);
  ledger.workerReports([reported(A)], 1);
  await arrive();
  t.match(records[1], { id: A.id, agent: 'billing', reason: 'ok' });
});
