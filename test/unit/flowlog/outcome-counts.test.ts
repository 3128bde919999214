import t from 'tap';
import { OutcomeCounts } from '#src/flowlog/outcome-counts.ts';

t.test('each pair of disposition and reason has its count', async (t) => {
  const counts = new OutcomeCounts();
  counts.count({ disposition: 'upgraded', reason: 'ok' });
  counts.count({ disposition: 'denied', reason: 'no_rule' });
  counts.count({ disposition: 'upgraded', reason: 'ok' });
  t.same(counts.all(), [
    { disposition: 'upgraded', reason: 'ok', count: 2 },
    { disposition: 'denied', reason: 'no_rule', count: 1 },
  ]);
});
