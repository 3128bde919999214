import t from 'tap';
import { Holds } from '#src/daemon/holds.ts';
import { held } from './held.ts';

const claim = (hold: number, change: object = {}) => ({
  type: 'held',
  hold,
  held: { ...held, ...change },
});

const ALICE = { uid: 0, user: 'root', login: 'alice' };
const YES = { approved: true, reason: null, by: ALICE };

function holdsOf(
  takenTimeoutMs?: number,
  agentOf: (flow: string) => string | null | undefined = () => undefined,
) {
  const sent: unknown[] = [];
  const log: string[] = [];
  const holds = new Holds(
    (key, message) => sent.push([key, message]),
    (line) => log.push(line),
    agentOf,
    takenTimeoutMs,
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
  await t.rejects(holds.answer('0', YES), { code: 'API', message: 'nothing waits under that id' });
  const answered = holds.answer(id, { approved: false, reason: 'no\nhold x was approved', by: ALICE });
  await t.rejects(holds.answer(id, YES), { message: /any more: denied by root .* just now$/ }, 'once');
  t.equal(holds.list().length, 1, 'until its worker has the answer');
  holds.heard(7, { type: 'released', hold: 3, outcome: 'denied' });
  t.match(await answered, { id });
  await t.rejects(holds.answer(id, YES), {
    code: 'API',
    message: /any more: denied by root \(uid 0\), logged in as alice, 0 s ago$/,
  });
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

t.test(
  'what its worker takes to the next daemon is on no list of this one, and an answer on its way was not taken',
  async (t) => {
    const { holds, log } = holdsOf();
    for (const hold of [0, 1]) holds.heard(1, claim(hold));
    holds.heard(2, claim(0));
    const [first, second] = holds.list().map(({ id }) => id);
    const answering = holds.answer(first ?? '', YES);
    holds.handedOver(1);
    await t.rejects(answering, {
      code: 'API',
      message:
        'nothing waits under that id any more: it waits for the next daemon, under another id (sluice holds), before that answer came',
    });
    await t.rejects(holds.answer(second ?? '', YES), { message: /any more: it waits for the next daemon/ });
    t.equal(holds.list().length, 1, 'what the other worker holds');
    t.match(log.slice(-2), [
      / has not taken that answer, and waits on$/,
      /for the next daemon, under other ids: 2$/,
    ]);
  },
);

t.test('what has waited for an earlier daemon has waited since then', async (t) => {
  const { holds } = holdsOf();
  holds.heard(1, { ...claim(0), waitedMs: 60_000 });
  const [one] = holds.list();
  const now = Date.now();
  const since = Date.parse(one?.since ?? '');
  t.ok(since <= now - 60_000 && since > now - 120_000, String(one?.since));
  t.equal(Date.parse(one?.until ?? '') - since, 61_000);
});

t.test('what is no claim about holds is not kept; a number means one', async (t) => {
  const { holds } = holdsOf();
  t.notOk(holds.heard(1, claim(0, { flow: 'x' })));
  t.notOk(holds.heard(1, { type: 'stats' }));
  holds.heard(1, claim(0));
  holds.heard(1, claim(0));
  t.equal(holds.list().length, 1);
});

t.test('what waits and what has ended is counted, with its time', async (t) => {
  const { holds, log } = holdsOf();
  for (let hold = 0; hold < 5; hold += 1) holds.heard(1, claim(hold));
  void holds.answer(holds.list()[0]?.id ?? '', YES);
  holds.heard(1, { type: 'released', hold: 0, outcome: 'approved' });
  holds.heard(1, { type: 'holds-refused', count: 7 });
  holds.heard(1, { type: 'released', hold: 1, outcome: 'timed_out' });
  holds.heard(1, { type: 'released', hold: 2 });
  t.notOk(holds.heard(1, { type: 'released', hold: 3, outcome: 'mine' }));
  const { waiting, oldestSeconds, ended } = holds.counts();
  t.equal(waiting, 2);
  t.ok(oldestSeconds !== null && oldestSeconds >= 0);
  const counted = Object.fromEntries(ended.map(({ outcome, count }) => [outcome, count]));
  t.strictSame(counted, { approved: 1, denied: 0, timed_out: 1, cancelled: 0, withdrawn: 1, refused: 7 });
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

t.test(
  'there is room for so many on the host, in whichever worker, and one agent does not take it all',
  async (t) => {
    const { holds, sent, log } = holdsOf();
    const agents = ['a', 'b', 'c', 'd'];
    for (const [index, agent] of agents.entries())
      for (let n = 0; n < 65; n += 1) holds.heard(n % 3, claim(1_000 * index + n, { agent }));
    t.equal(holds.list().length, 256);
    t.match(sent, [
      [1, { type: 'hold-answer', hold: 64, approved: false, reason: /^too much of this agent/, by: null }],
      [1, { hold: 1_064 }],
      [1, { hold: 2_064 }],
      [1, { hold: 3_064, reason: /^too many/ }],
    ]);
    holds.heard(5, claim(0, { agent: 'e' }));
    t.match(sent.at(-1), [5, { hold: 0, approved: false, reason: /^too many/, by: null }]);
    t.equal(holds.counts().ended.find(({ outcome }) => outcome === 'refused')?.count, 5);
    t.equal(log.filter((line) => line.includes('is refused')).length, 1, 'a flood of them is one line');
    holds.ended(2);
    const { length } = holds.list();
    holds.heard(5, claim(1, { agent: 'e' }));
    t.equal(holds.list().length, length + 1, 'there is room again');
  },
);

t.test('who answers too late is told what became of it', async (t) => {
  const { holds, log } = holdsOf();
  for (let hold = 0; hold < 5; hold += 1) holds.heard(1, claim(hold));
  const ids = holds.list().map(({ id }) => id);
  const late = ids.map((id) => holds.answer(id, YES));
  for (const [hold, outcome] of ['timed_out', 'cancelled', 'withdrawn'].entries())
    holds.heard(1, { type: 'released', hold, outcome });
  holds.heard(1, { type: 'released', hold: 3 });
  t.match(await late[3], { id: ids[3] }, 'a worker of an earlier version does not say how');
  t.match(log.at(-1), /withdrawn$/);
  holds.ended(1);
  const words = [
    /its time was up/,
    /its agent has cancelled it/,
    /its agent has left/,
    null,
    /its worker has ended/,
  ];
  for (const [index, word] of words.entries()) {
    if (word === null) continue;
    const error = await late[index]?.then(
      () => 'taken',
      ({ message }: Error) => message,
    );
    t.match(error, new RegExp(`any more: ${word.source}.*, before that answer came$`));
    await t.rejects(holds.answer(ids[index] ?? '', YES), {
      message: new RegExp(`any more: ${word.source}.* s ago$`),
    });
  }
  t.strictSame(holds.list(), []);
});

t.test('an answer that its worker does not take stands', async (t) => {
  const { holds, sent } = holdsOf(1);
  holds.heard(1, claim(0));
  const id = holds.list()[0]?.id ?? '';
  await t.rejects(holds.answer(id, YES), { code: 'API', message: /has not taken the answer/ });
  await t.rejects(holds.answer(id, { ...YES, approved: false }), { message: /approved by root .* just now/ });
  t.equal(sent.length, 1);
  t.match(holds.list(), [{ id }]);
});

t.test('a worker that says somebody has approved is not believed', async (t) => {
  const { holds, log } = holdsOf();
  holds.heard(1, claim(0));
  holds.heard(1, { type: 'released', hold: 0, outcome: 'approved' });
  const count = (name: string) => holds.counts().ended.find(({ outcome }) => outcome === name)?.count;
  t.equal(count('approved'), 0);
  t.equal(count('withdrawn'), 1);
  t.match(log.at(-1), /has ended: withdrawn$/);
});

t.test(
  'an agent that asks and cancels all the time does not fill the log, and answers are told all the same',
  async (t) => {
    const { holds, log } = holdsOf();
    for (let hold = 0; hold < 500; hold += 1) {
      holds.heard(1, claim(hold));
      holds.heard(1, { type: 'released', hold, outcome: 'cancelled' });
    }
    t.equal(log.length, 40, 'two for each of twenty');
    holds.heard(1, claim(500));
    t.equal(log.length, 40);
    const answered = holds.answer(holds.list()[0]?.id ?? '', YES);
    t.match(log.at(-1), /was approved by root/);
    holds.heard(1, { type: 'released', hold: 500, outcome: 'timed_out' });
    await t.rejects(answered, { message: /its time was up/ });
    t.match(log.at(-1), /has ended: timed_out$/, 'that it was not carried out');
    t.equal(log.length, 42);
  },
);

t.test('nor does one that goes back and forth at its bound', async (t) => {
  const { holds, log } = holdsOf();
  for (let hold = 0; hold < 64; hold += 1) holds.heard(1, claim(hold));
  for (let hold = 64; hold < 500; hold += 1) {
    holds.heard(1, claim(hold));
    holds.heard(1, { type: 'released', hold: hold - 64, outcome: 'cancelled' });
    holds.heard(1, claim(1_000 + hold));
  }
  t.equal(log.length, 60, 'twenty that wait, their ends, and twenty times no room');
});

t.test('whose the flow is, the kernel has said', async (t) => {
  const agents: Record<string, string | null> = { [held.flow]: 'shop', fedcba9876543210: null };
  const { holds, log } = holdsOf(undefined, (flow) => agents[flow]);
  holds.heard(1, claim(0));
  holds.heard(1, claim(1, { flow: 'fedcba9876543210' }));
  holds.heard(1, claim(2, { flow: '00000000000000ff' }));
  t.strictSame(
    holds.list().map(({ agent }) => agent),
    ['shop', null, 'web'],
  );
  t.match(log[0], /by shop, rule r/);
});
