import t from 'tap';
import { EndedHolds } from '#src/daemon/ended-holds.ts';

t.test('what became of the newest is remembered, all are counted', async (t) => {
  const ended = new EndedHolds();
  ended.add('first', 'timed_out', 'its time was up', 1_500);
  for (let n = 1; n < 256; n += 1) ended.add(`${n}`, 'approved', 'approved by root', 0);
  t.equal(ended.wordsOf('first'), 'its time was up, 0 s ago');
  ended.add('256', 'approved', 'approved by root', 0);
  t.equal(ended.wordsOf('first'), null);
  ended.count('refused', 3);
  const counts = Object.fromEntries(ended.counts().map(({ outcome, count }) => [outcome, count]));
  t.strictSame(counts, { approved: 256, denied: 0, timed_out: 1, cancelled: 0, withdrawn: 0, refused: 3 });
  t.equal(ended.counts().find(({ outcome }) => outcome === 'timed_out')?.seconds, 1.5);
});
