import t from 'tap';
import { Holds } from '#src/daemon/holds.ts';

const held = {
  flow: '0123456789abcdef',
  agent: 'web',
  rules: ['r'],
  verbs: ['DELETE'],
  objects: ['t'],
  more: 0,
  timeoutMs: 1_000,
};
const claim = (hold: number, change: object = {}) => ({
  type: 'held',
  hold,
  held: { ...held, ...change },
});

function holdsOf() {
  const sent: unknown[] = [];
  const log: string[] = [];
  const holds = new Holds(
    (key, message) => sent.push([key, message]),
    (line) => log.push(line),
  );
  return { holds, sent, log };
}

t.test('what waits is listed, answered once, and told of in the log', async (t) => {
  const { holds, sent, log } = holdsOf();
  t.ok(holds.heard(7, claim(3)));
  const [one] = holds.list();
  t.match(one, { id: /^[0-9a-f]{10}$/, agent: 'web', verbs: ['DELETE'], objects: ['t'] });
  t.equal(Date.parse(one?.until ?? '') - Date.parse(one?.since ?? ''), 1_000);
  const id = one?.id ?? '';
  t.equal(holds.answer('0', true, null), null);
  t.match(holds.answer(id, false, 'no'), { id });
  t.equal(holds.answer(id, true, null), null, 'once');
  t.strictSame(sent, [[7, { type: 'hold-answer', hold: 3, approved: false, reason: 'no' }]]);
  t.strictSame(holds.list(), []);
  t.match(log, [/waits for an answer/, /was denied/]);
});

t.test('what is released is gone, and so is what waits in a worker that is', async (t) => {
  const { holds } = holdsOf();
  for (const [key, hold] of [
    [1, 0],
    [1, 1],
    [2, 0],
  ] as const)
    holds.heard(key, claim(hold));
  t.ok(holds.heard(1, { type: 'released', hold: 0 }));
  t.equal(holds.list().length, 2);
  holds.ended(1);
  t.equal(holds.list().length, 1);
});

t.test('what a worker claims is looked at before it is kept', async (t) => {
  const { holds } = holdsOf();
  for (const change of [
    { flow: 'x' },
    { agent: 1 },
    { agent: 'x'.repeat(64) },
    { rules: 'r' },
    { verbs: [1] },
    { objects: Array.from({ length: 17 }, () => 't') },
    { objects: ['x'.repeat(131)] },
    { more: -1 },
    { timeoutMs: 1e15 },
  ])
    t.notOk(holds.heard(1, claim(0, change)), JSON.stringify(change).slice(0, 40));
  t.notOk(holds.heard(1, { ...claim(0), hold: 'x' }));
  t.notOk(holds.heard(1, { ...claim(0), held: null }));
  t.notOk(holds.heard(1, { type: 'stats' }));
  for (let n = 0; n < 300; n += 1) holds.heard(1, claim(n));
  holds.heard(1, claim(0));
  t.equal(holds.list().length, 256);
});
