import t from 'tap';
import { CONTENDERS, parseOptions } from '#test/bench/options.ts';

const POSTGRES = ['pgbench', 'pgbench-prepared', 'pgbench-1', 'rows'];

t.test('without arguments everything is measured, at length', async (t) => {
  const options = parseOptions([]);
  t.same(options.contenders, CONTENDERS);
  t.same(options.workloads, ['bulk', 'requests-16', 'requests-64', 'connections', ...POSTGRES, 'idle']);
  t.equal(options.effort.bulkBytes, 1024 ** 3, 'downloads 1 GiB');
  t.equal(options.effort.idleFlows, 10_000);
  t.equal(options.effort.rows, 1_000_000);
  t.ok(options.rounds > 1, 'more than once, for a median');
  t.ok(options.connectsRounds > options.rounds, 'single connections more often: their differences are small');
});

t.test('a part can be asked for', async (t) => {
  const options = parseOptions([
    '--only',
    'idle,requests',
    '--contenders',
    'sluice, haproxy',
    '--rounds',
    '3',
  ]);
  t.same(options.workloads, ['requests-16', 'requests-64', 'idle']);
  t.same(options.contenders, ['haproxy', 'sluice']);
  t.equal(options.rounds, 3);
  t.equal(options.connectsRounds, 0);
  t.match(parseOptions(['--only', 'rows', '--rows', '5000']), {
    workloads: ['rows'],
    effort: { rows: 5_000 },
  });
  const alone = parseOptions(['--only', 'connects', '--quick']);
  t.match(alone, { workloads: [], connectsRounds: 1 });
});

t.test('--quick does less of everything', async (t) => {
  const [quick, full] = [parseOptions(['--quick']), parseOptions([])];
  t.ok(quick.rounds < full.rounds);
  t.ok(quick.effort.bulkBytes < full.effort.bulkBytes);
  t.equal(quick.connectsRounds, 0, 'small differences are nothing to be looked at quickly');
  t.equal(parseOptions(['--quick', '--rounds', '2']).rounds, 2, 'but what is asked for holds');
});

t.test('what makes no sense is refused with the reason', async (t) => {
  t.throws(() => parseOptions(['--only', 'everything']), /--only: "everything" is none of bulk/);
  t.throws(() => parseOptions(['--contenders', 'envoy']), /--contenders: "envoy" is none of/);
  for (const rounds of ['0', '-1', '1.5', 'many'])
    t.throws(() => parseOptions([`--rounds=${rounds}`]), /--rounds/);
  t.throws(() => parseOptions(['--rows', '0']), /--rows/);
  t.throws(() => parseOptions(['--busy-poll', 'x']), /--busy-poll/);
  t.match(parseOptions(['--busy-poll', '60']), { effort: { busyPollUs: 60, rows: 1_000_000 } });
  t.throws(() => parseOptions(['--placement', 'x']), /--placement: "x" is none of apart, together, free/);
  t.match(parseOptions([]), { effort: { placement: 'apart' } });
  t.match(parseOptions(['--placement', 'free']), { effort: { placement: 'free', seconds: 5 } });
  t.throws(() => parseOptions(['--fast']), /fast/);
  t.throws(() => parseOptions(['bulk']), /bulk/);
});
