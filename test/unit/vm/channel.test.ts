import t from 'tap';
import { cellLine, readCellLine } from '#test/support/bypass/told.ts';
import type { Cell, MatrixResult } from '#test/support/bypass/types.ts';
import { GuestLines } from '#test/vm/channel.ts';

/** What is told, and the verdict, of a guest that said `text`. */
function read(text: string, chunk = text.length): { told: string[]; lines: GuestLines } {
  const told: string[] = [];
  const lines = new GuestLines((line) => told.push(line));
  for (let at = 0; at < text.length; at += chunk) lines.push(text.slice(at, at + chunk));
  return { told, lines };
}

const good = `guest: 6.1.0
guest: file a.test.ts
TAP version 14
# Subtest: one
    ok 1 - inner
    1..1
ok 1 - one # time=3ms
1..1

guest: ended 0
`;

t.test('a guest where all is well, in whatever pieces it comes', async (t) => {
  for (const chunk of [1, 7, 10_000]) {
    const { told, lines } = read(`${good}guest: exit 0\n`, chunk);
    t.same(lines.verdict, { exitCode: 0, passed: 1, failed: 0, skipped: 0, matrix: null });
    t.same(told, ['guest: 6.1.0', 'ok 1 - one # time=3ms', 'ok   a.test.ts (1 passed, 0 failed)']);
  }
});

t.test('a failure is told whole, and the journal behind it', async (t) => {
  const text = `guest: file b.test.ts\nTAP version 14\nnot ok 1 - broken\n  ---\n  at: here\n  ...\n1..1\n\nguest: ended 1\njournal\nguest: exit 1\n`;
  const { told, lines } = read(good + text);
  t.same(lines.verdict, { exitCode: 1, passed: 1, failed: 1, skipped: 0, matrix: null });
  t.ok(told.includes('FAIL b.test.ts (0 passed, 1 failed, ended with 1)'));
  t.ok(told.includes('       at: here'));
  t.equal(told.at(-1), 'journal');
});

t.test('silence is never a pass', async (t) => {
  const ended = (code: number): string => `guest: file c.test.ts\n\nguest: ended ${code}\nguest: exit 1\n`;
  t.match(read(ended(0)).lines.verdict, { passed: 0, failed: 1 });
  t.match(read(ended(124)).told.join('\n'), /time was up/);
  const dies = good.replace('ended 0', 'ended 137');
  t.match(
    read(dies).lines.verdict,
    { exitCode: null, passed: 1, failed: 1 },
    'a file that dies behind its plan',
  );
});

t.test('a process that died before its first test is told of, and its second start is judged', async (t) => {
  const dies = 'guest: file e.test.ts\nFatal error\n\nguest: again 11\n';
  const { told, lines } = read(`${dies}TAP version 14\nok 1 - x\n1..1\n\nguest: ended 0\nguest: exit 0\n`);
  t.match(lines.verdict, { exitCode: 0, passed: 1, failed: 0 });
  t.equal(told[0], 'e.test.ts was ended by SIGSEGV before its first test, and is started once more:');
  t.ok(told.includes('     Fatal error'));
  const again = read(`${dies}guest: ended 133\nguest: exit 1\n`);
  t.match(again.lines.verdict, { passed: 0, failed: 1 });
  t.match(again.told.join('\n'), /FAIL e\.test\.ts .*ended by SIGTRAP/);
});

t.test('skips are told with their reason', async (t) => {
  const { told, lines } = read(
    'guest: file d.test.ts\nTAP version 14\nok 1 - x # SKIP no such kernel\n1..1\n\nguest: ended 0\nguest: exit 0\n',
  );
  t.match(lines.verdict, { passed: 0, failed: 0, skipped: 1 });
  t.ok(told.some((line) => line.includes('no such kernel')));
});

const cell = (row: string, verdict: Cell['verdict']): Cell => ({
  row,
  who: 'user',
  family: '4',
  verdict,
  detail: '',
});
const says = (...cells: Cell[]): string =>
  cells.map((one) => `    # ${cellLine({ kernel: '6.1', tier: 'base' }, one)}\n`).join('');

t.test('answers of the bypass matrix are known as they are told, and are no lines to be told', async (t) => {
  const told: string[] = [];
  const known: (MatrixResult | null)[] = [];
  const lines = new GuestLines(
    (line) => told.push(line),
    (matrix) => known.push(matrix),
  );
  lines.push(`guest: file a.test.ts\n${says(cell('udp', 'dropped'))}`);
  lines.push(`    # nothing\n${says(cell('udp', 'refused'), cell('tcp', 'redirected')).slice(0, -9)}`);
  t.match(known.at(-1)?.cells, [{ row: 'udp', verdict: 'refused' }], 'of the half line nothing');
  t.equal(known.length, 2);
  t.strictSame(lines.verdict, {
    exitCode: null,
    passed: 0,
    failed: 0,
    skipped: 0,
    matrix: { kernel: '6.1', tier: 'base', cells: [cell('udp', 'refused')] },
  });
  t.same(told, []);
});

t.test('an answer that was garbled on its way is none', async (t) => {
  t.equal(readCellLine('    # cell {"kernel":"6.1","row":}'), null);
  t.equal(readCellLine('    # cells {}'), null);
});
