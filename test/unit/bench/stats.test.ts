import t from 'tap';
import { median, percentile } from '#test/bench/stats.ts';

t.test('median', async (t) => {
  t.equal(median([3, 1, 2]), 2, 'is the middle one, whatever the order');
  t.equal(median([4, 1, 2, 3]), 2.5, 'is the mean of two in the middle');
  t.ok(Number.isNaN(median([])), 'of nothing is nothing');
  const values = [3, 1, 2];
  median(values);
  t.same(values, [3, 1, 2], 'leaves what it was given alone');
});

t.test('percentile', async (t) => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
  t.equal(percentile(hundred, 0.5), 50);
  t.equal(percentile(hundred, 0.99), 99);
  t.equal(percentile(hundred, 1), 100);
  t.equal(percentile([7], 0.5), 7, 'of one is that one');
  t.ok(Number.isNaN(percentile([], 0.5)), 'of nothing is nothing');
});
