import t from 'tap';
import { Holds } from '#src/daemon/holds.ts';

const held = {
  flow: '0123456789abcdef',
  agent: 'web',
  rules: ['r'],
  verbs: ['DELETE'],
  objects: ['t'],
  texts: [{ text: 'DELETE FROM t', bytes: 13 }],
  values: ['1'],
  more: 0,
  timeoutMs: 1_000,
};
const claim = (hold: number, change: object = {}) => ({
  type: 'held',
  hold,
  held: { ...held, ...change },
});

const ALICE = { uid: 0, user: 'root', login: 'alice' };
const YES = { approved: true, reason: null, by: ALICE };

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
  t.ok(holds.heard(7, claim(3, { texts: [{ text: 'DELETE FROM t', bytes: 13, more: 'x' }], other: 'x' })));
  t.notOk(JSON.stringify(holds.list()).includes('other'));
  const [one] = holds.list();
  t.strictSame(one?.texts, [{ text: 'DELETE FROM t', bytes: 13 }], 'nothing that was not looked at');
  t.match(one, { id: /^[0-9a-f]{10}$/, agent: 'web', verbs: ['DELETE'], objects: ['t'] });
  t.equal(Date.parse(one?.until ?? '') - Date.parse(one?.since ?? ''), 1_000);
  const id = one?.id ?? '';
  t.equal(holds.answer('0', YES), null);
  t.match(holds.answer(id, { approved: false, reason: 'no\nhold x was approved', by: ALICE }), { id });
  t.equal(holds.answer(id, YES), null, 'once');
  t.strictSame(sent, [
    [7, { type: 'hold-answer', hold: 3, approved: false, reason: 'no\nhold x was approved', by: ALICE }],
  ]);
  t.strictSame(holds.list(), []);
  t.match(log, [
    /waits for an answer/,
    /was denied by root \(uid 0\), logged in as alice after 0 s: no\?hold x was approved$/,
  ]);
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
    { texts: [{ text: 'x'.repeat(4_097), bytes: 1 }] },
    { texts: Array.from({ length: 5 }, () => ({ text: '', bytes: 0 })) },
    { texts: [null] },
    { values: ['x'.repeat(131)] },
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

t.test('what waits and what has ended is counted, with its time', async (t) => {
  const { holds, log } = holdsOf();
  for (let hold = 0; hold < 5; hold += 1) holds.heard(1, claim(hold));
  holds.answer(holds.list()[0]?.id ?? '', YES);
  holds.heard(1, { type: 'released', hold: 1, outcome: 'timed_out' });
  holds.heard(1, { type: 'released', hold: 2 });
  t.notOk(holds.heard(1, { type: 'released', hold: 3, outcome: 'mine' }));
  const { waiting, oldestSeconds, ended } = holds.counts();
  t.equal(waiting, 2);
  t.ok(oldestSeconds !== null && oldestSeconds >= 0);
  const counted = Object.fromEntries(ended.map(({ outcome, count }) => [outcome, count]));
  t.strictSame(counted, { approved: 1, denied: 0, timed_out: 1, cancelled: 0, withdrawn: 1 });
  t.match(log.at(-1), /has ended: timed_out$/);
  holds.ended(1);
  t.match(holds.counts(), { waiting: 0, oldestSeconds: null });
  t.equal(holds.counts().ended.find(({ outcome }) => outcome === 'withdrawn')?.count, 3);
});

t.test('who follows is told of what begins to wait, until they do no more', async (t) => {
  const { holds } = holdsOf();
  const told: string[] = [];
  const end = holds.onHold(({ flow }) => told.push(flow));
  holds.heard(1, claim(0));
  end();
  holds.heard(1, claim(1));
  t.strictSame(told, ['0123456789abcdef']);
});
