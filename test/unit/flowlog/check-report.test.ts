import t from 'tap';
import { isReportedFlow } from '#src/flowlog/check-report.ts';
import { facts, flowId, report, reported } from '#test/unit/flowlog/made.ts';

const GOOD = reported(facts(flowId(1)));

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
