import t from 'tap';
import { diedAtItsStart, patienceOf } from '#test/support/patience.ts';

t.test('a number from 1 to 100, and else 1', async (t) => {
  t.equal(patienceOf(undefined), 1);
  t.equal(patienceOf('20'), 20);
  for (const wrong of ['', '0', '-3', '0.5', '1e9', 'much']) t.equal(patienceOf(wrong), 1);
});

t.test('only an emulated process that crashed without a word of its own died at its start', async (t) => {
  const crash = { signal: 'SIGSEGV', stdout: '', stderr: '# Fatal error in , line 0\n' };
  t.ok(diedAtItsStart(crash, true));
  t.notOk(diedAtItsStart(crash, false));
  t.notOk(diedAtItsStart({ ...crash, signal: null }, true));
  t.notOk(diedAtItsStart({ ...crash, signal: 'SIGKILL' }, true));
  t.notOk(diedAtItsStart({ ...crash, stderr: 'sluice: cannot\n' }, true));
  t.notOk(diedAtItsStart({ ...crash, stdout: '{"schema":1}\n' }, true));
});
