import t from 'tap';
import { patienceOf } from '#test/support/patience.ts';

t.test('a number from 1 to 100, and else 1', async (t) => {
  t.equal(patienceOf(undefined), 1);
  t.equal(patienceOf('20'), 20);
  for (const wrong of ['', '0', '-3', '0.5', '1e9', 'much']) t.equal(patienceOf(wrong), 1);
});
