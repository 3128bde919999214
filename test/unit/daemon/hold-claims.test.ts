import t from 'tap';
import { isHeld, isHoldsRefused, isReleased } from '#src/daemon/hold-claims.ts';
import { held } from './held.ts';

t.test('what is held is within its bounds', async (t) => {
  t.ok(isHeld({ type: 'held', hold: 0, held }));
  t.ok(isHeld({ type: 'held', hold: 0, held: { ...held, agent: null, texts: [{ text: null, bytes: 1 }] } }));
  for (const change of [
    { flow: 'x' },
    { agent: 1 },
    { agent: 'x'.repeat(64) },
    { rules: 'r' },
    { verbs: [1] },
    { objects: Array.from({ length: 17 }, () => 't') },
    { objects: ['x'.repeat(131)] },
    { texts: [{ text: 'x'.repeat(4_097), bytes: 1 }] },
    { texts: Array.from({ length: 5 }, () => ({ text: '', bytes: 0 })) },
    { texts: [null] },
    { values: ['x'.repeat(131)] },
    { more: -1 },
    { timeoutMs: 1e15 },
  ])
    t.notOk(
      isHeld({ type: 'held', hold: 0, held: { ...held, ...change } }),
      JSON.stringify(change).slice(0, 40),
    );
  for (const waitedMs of [-1, 1.5, 1e15, '1'])
    t.notOk(isHeld({ type: 'held', hold: 0, held, waitedMs }), String(waitedMs));
  t.notOk(isHeld({ type: 'held', hold: 'x', held }));
  t.notOk(isHeld({ type: 'held', hold: 0, held: null }));
});

t.test('what is released has an outcome there is, or none; what was refused is a number', async (t) => {
  t.ok(isReleased({ type: 'released', hold: 0, outcome: 'timed_out' }));
  t.ok(isReleased({ type: 'released', hold: 0 }));
  t.notOk(isReleased({ type: 'released', hold: 0, outcome: 'mine' }));
  t.ok(isHoldsRefused({ type: 'holds-refused', count: 3 }));
  for (const count of [-1, 1.5, 1e15, '1', undefined])
    t.notOk(isHoldsRefused({ type: 'holds-refused', count }));
});
