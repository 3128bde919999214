import t from 'tap';
import {
  insertBetweenMarks,
  MARK_BEGIN,
  MARK_END,
  markdown,
  REPORT_SCHEMA,
  type Report,
  terminalTables,
} from '#test/bench/report.ts';
import { summarize } from '#test/bench/summary.ts';

const summaries = summarize([
  {
    workload: 'requests-16',
    contender: 'haproxy',
    round: 1,
    amount: 100_000,
    seconds: 4,
    cpuSeconds: 2.5,
    residentBytes: null,
    p50Us: 512,
    p99Us: 3456,
    errors: 0,
  },
  {
    workload: 'requests-16',
    contender: 'direct',
    round: 1,
    amount: 100_000,
    seconds: 2,
    cpuSeconds: null,
    residentBytes: null,
    p50Us: 400,
    p99Us: 900,
    errors: 0,
  },
]);
const report: Report = {
  schema: REPORT_SCHEMA,
  commit: '0123456789ab',
  time: '2026-01-02T03:04:05.000Z',
  machine: { cpu: 'Some CPU', cpus: 2, kernel: '6.12.0' },
  versions: { node: '24.0.0' },
  effort: {
    seconds: 5,
    warmUpSeconds: 2,
    bulkBytes: 2 ** 30,
    idleFlows: 10_000,
    rows: 1_000_000,
    busyPollUs: 0,
    placement: 'apart',
  },
  rounds: 3,
  absent: [{ contender: 'stunnel', why: 'it did not listen' }],
  summaries,
  samples: [],
};

t.test('the terminal table is aligned and shows what is missing', async (t) => {
  t.strictSame(terminalTables(report), [
    [
      'Small keep-alive requests, 16 connections',
      '           CPU µs/req  to haproxy  to naive  req/s  to haproxy  p50 ms  p99 ms  added µs  errors',
      '  haproxy        25.0       1.00×         –  25000       1.00×    0.51    3.46       112       0',
      '  direct            –           –         –  50000       2.00×    0.40    0.90         –       0',
    ].join('\n'),
  ]);
});

t.test('the Markdown names the commit, the machine and who did not take part', async (t) => {
  const text = markdown(report);
  t.match(text, /Commit `0123456789ab`, 2026-01-02; 2 × Some CPU, Linux 6\.12\.0;/);
  t.match(
    text,
    /Medians of 3 rounds: 5 s per run,\n1\.00 GiB per download, 1000000 rows, 10000 idle flows\./,
  );
  t.match(text, 'Not taking part: stunnel (it did not listen).');
  t.match(text, '| haproxy | 25.0 | 1.00× | – | 25000 | 1.00× | 0.51 | 3.46 | 112 | 0 |');
});

t.test('what single connections cost comes behind the workloads, where it was measured', async (t) => {
  const samples = [1, 2, 3].flatMap((round) => [
    { act: 'tcp' as const, case: 'none' as const, round, ns: 20_000 * round },
    { act: 'tcp' as const, case: 'bystander' as const, round, ns: 21_000 * round },
  ]);
  const attestation = { knownNs: 4_000, newNs: 900_000 };
  const text = markdown({ ...report, connects: { samples, attestation } });
  t.match(text, '| bystander | 42.00 | 1.050× | 1.050–1.050 | – |');
  t.match(text, '| a process seen before | 4.00 |');
  t.notMatch(markdown({ ...report, connects: null }), 'bystander');
});

t.test('only what is between the marks is replaced', async (t) => {
  const document = `before\n${MARK_BEGIN}\nold\n${MARK_END}\nafter\n`;
  const once = insertBetweenMarks(document, 'new');
  t.equal(once, `before\n${MARK_BEGIN}\n\nnew\n\n${MARK_END}\nafter\n`);
  t.equal(insertBetweenMarks(once, 'new'), once, 'and doing it again changes nothing');
  t.throws(() => insertBetweenMarks('no marks', 'new'), /bench:begin/);
  t.throws(() => insertBetweenMarks(`${MARK_END} ${MARK_BEGIN}`, 'new'), /bench:begin/);
});
