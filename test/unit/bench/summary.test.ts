import t from 'tap';
import { summarize } from '#test/bench/summary.ts';
import type { ContenderName, Sample, WorkloadName } from '#test/bench/types.ts';

function sample(
  workload: WorkloadName,
  contender: ContenderName,
  round: number,
  own: Partial<Sample>,
): Sample {
  const nothing = { amount: 1, seconds: 1, cpuSeconds: null, residentBytes: null };
  return { workload, contender, round, p50Us: null, p99Us: null, errors: 0, ...nothing, ...own };
}

t.test('ratios are taken between neighbours, then the median', async (t) => {
  // The machine is twice as slow in round 2: both get slower, and the ratio must not see it.
  const runs = [
    sample('connections', 'haproxy', 1, { amount: 1000, cpuSeconds: 1 }),
    sample('connections', 'sluice', 1, { amount: 1000, cpuSeconds: 1.5 }),
    sample('connections', 'haproxy', 2, { amount: 1000, cpuSeconds: 2 }),
    sample('connections', 'sluice', 2, { amount: 1000, cpuSeconds: 3 }),
  ];
  const [summary] = summarize(runs);
  const [haproxy, sluice] = summary?.rows ?? [];
  t.equal(summary?.base, 'haproxy');
  t.match(haproxy, { cost: 1500, costToBase: 1, rounds: 2 }, 'microseconds for each connection');
  t.match(sluice, { cost: 2250, costToBase: 1.5, costToNaive: null, rateToBase: 1 });
});

t.test('PgBouncer is the base where HAProxy cannot take part', async (t) => {
  const [summary] = summarize([
    sample('pgbench', 'naive', 1, { amount: 10, cpuSeconds: 2 }),
    sample('pgbench', 'pgbouncer', 1, { amount: 10, cpuSeconds: 1 }),
  ]);
  t.equal(summary?.base, 'pgbouncer');
  t.match(summary?.rows, [
    { costToBase: 2, costToNaive: 1 },
    { costToBase: 1, costToNaive: 0.5 },
  ]);
});

t.test('no proxy, no cost; errors are added up', async (t) => {
  const [summary] = summarize([
    sample('bulk', 'direct', 1, { amount: 2e9, seconds: 4, errors: 1 }),
    sample('bulk', 'direct', 2, { amount: 2e9, seconds: 4, errors: 2 }),
    sample('bulk', 'haproxy', 1, { amount: 2e9, seconds: 4, cpuSeconds: 3 }),
  ]);
  t.match(summary?.rows, [
    { contender: 'direct', cost: null, costToBase: null, rate: 500, rateToBase: 1, errors: 3 },
    { contender: 'haproxy', cost: 1.5, rounds: 1 },
  ]);
});

t.test('what is added to a wait is taken between neighbours, too', async (t) => {
  const [summary] = summarize([
    sample('pgbench-1', 'direct', 1, { p50Us: 200 }),
    sample('pgbench-1', 'sluice', 1, { p50Us: 290 }),
    sample('pgbench-1', 'direct', 2, { p50Us: 400 }),
    sample('pgbench-1', 'sluice', 2, { p50Us: 510 }),
    sample('pgbench-1', 'stunnel', 3, { p50Us: 1 }),
  ]);
  t.match(summary?.rows, [{ addedUs: null }, { addedUs: 100 }, { addedUs: null }]);
});

t.test('idle flows cost memory', async (t) => {
  const [summary] = summarize([sample('idle', 'sluice', 1, { amount: 1000, residentBytes: 50_000_000 })]);
  t.match(summary, { costUnit: 'kB/flow', base: null, rows: [{ cost: 50, costToBase: null }] });
});

t.test('workloads stay in the order they were measured in', async (t) => {
  const samples = [
    sample('idle', 'naive', 1, {}),
    sample('bulk', 'naive', 1, {}),
    sample('idle', 'naive', 2, {}),
  ];
  t.same(
    summarize(samples).map(({ workload }) => workload),
    ['idle', 'bulk'],
  );
});
