import t from 'tap';
import { healthOf } from '#src/cli/health.ts';
import { sampleStatus } from '../api/sample.ts';

t.test('one word, and every reason', async (t) => {
  const { store, policy } = sampleStatus();
  t.same(healthOf(sampleStatus()), { state: 'enforcing', reasons: [] });
  t.same(healthOf(sampleStatus({ reasons: ['a worker died'] })), {
    state: 'degraded',
    reasons: ['a worker died'],
  });
  t.same(healthOf(sampleStatus({ enforcing: false, reasons: ['x'] })), {
    state: 'not enforcing',
    reasons: ['x'],
  });
  t.same(healthOf(sampleStatus({ store: { ...store, ok: false, error: 'disk full' } })), {
    state: 'degraded',
    reasons: ['flow records are not stored: disk full'],
  });
  const workers = sampleStatus().workers.map((worker) => ({ ...worker, outOfDescriptors: true }));
  t.match(healthOf(sampleStatus({ workers })), {
    state: 'degraded',
    reasons: [/^worker 0 has no file descriptors left/],
  });
  t.same(healthOf(sampleStatus({ policy: { ...policy, lastError: 'line 3' } })), {
    state: 'degraded',
    reasons: ['the last policy was refused: line 3'],
  });
});
