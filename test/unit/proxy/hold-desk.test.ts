import t from 'tap';
import type { Question, Verdict } from '#src/proxy/approver.ts';
import { HoldDesk } from '#src/proxy/hold-desk.ts';
import type { WorkerMessage } from '#src/proxy/ipc.ts';

const ROOT = { uid: 0, user: 'root', login: null };

function deskOf(leave: (message: WorkerMessage, onSent: () => void) => void = (_, onSent) => onSent()) {
  const sent: WorkerMessage[] = [];
  const verdicts: Verdict[] = [];
  const desk = new HoldDesk((message, onSent = () => undefined) => {
    sent.push(message);
    leave(message, onSent);
  });
  const question = (agent: string | null = 'web'): Question => ({
    held: {
      flow: 'f',
      agent,
      rules: ['r'],
      verbs: ['DELETE'],
      objects: [],
      texts: [],
      values: [],
      more: 0,
      timeoutMs: 1,
    },
    answered: (verdict) => verdicts.push(verdict),
  });
  return { desk, sent, verdicts, question };
}

t.test('a question goes to the daemon, and its answer comes back once', async (t) => {
  const { desk, sent, verdicts, question } = deskOf();
  t.type(desk.ask(question()), 'function');
  t.match(sent, [{ type: 'held', hold: 0, held: { verbs: ['DELETE'] } }]);
  desk.answered({ hold: 1, approved: true, reason: null, by: ROOT });
  desk.answered({ hold: 0, approved: true, reason: null, by: ROOT });
  desk.answered({ hold: 0, approved: false, reason: null, by: ROOT });
  t.strictSame(verdicts, [{ outcome: 'approved', reason: null, by: ROOT }]);
  t.match(sent[1], { type: 'released', hold: 0, outcome: 'approved' });
});

t.test('one that is taken back is told of, once, and gets no answer', async (t) => {
  const { desk, sent, verdicts, question } = deskOf();
  const withdraw = desk.ask(question());
  if (typeof withdraw !== 'function') throw new Error(withdraw.why);
  withdraw('timed_out');
  withdraw('timed_out');
  desk.answered({ hold: 0, approved: true, reason: null, by: ROOT });
  t.strictSame(verdicts, []);
  t.match(
    sent.filter(({ type }) => type === 'released'),
    [{ outcome: 'timed_out' }],
  );
});

t.test('what is approved passes when the daemon surely hears of it, and not before', async (t) => {
  const leaving: (() => void)[] = [];
  const { desk, sent, verdicts, question } = deskOf((_, onSent) => leaving.push(onSent));
  desk.ask(question());
  const withdraw = desk.ask(question());
  if (typeof withdraw !== 'function') throw new Error(withdraw.why);
  for (const hold of [0, 1]) desk.answered({ hold, approved: true, reason: null, by: ROOT });
  t.match(sent.slice(2), [
    { hold: 0, outcome: 'approved' },
    { hold: 1, outcome: 'approved' },
  ]);
  t.strictSame(verdicts, []);
  withdraw('cancelled');
  for (const left of leaving) left();
  t.strictSame(
    verdicts,
    [{ outcome: 'approved', reason: null, by: ROOT }],
    'what is taken back does not pass later',
  );
});

t.test('there is room for so many, and one agent does not take it all', async (t) => {
  const { desk, sent, question } = deskOf();
  const asked = Array.from({ length: 65 }, () => desk.ask(question('a')));
  t.match(asked.at(-1), { why: /^too much of this agent/, isFull: true });
  for (const agent of ['b', 'c', 'd']) for (let n = 0; n < 64; n += 1) desk.ask(question(agent));
  t.match(desk.ask(question('e')), { why: /^too many/, isFull: true });
  t.equal(sent.length, 256);
});

t.test('at the end what waits is denied, and so is what would have to', async (t) => {
  const { desk, verdicts, question } = deskOf();
  desk.ask(question());
  desk.close('it is gone');
  t.strictSame(verdicts, [{ outcome: 'withdrawn', reason: 'it is gone', by: null }]);
  t.strictSame(desk.ask(question()), { why: 'it is gone', isFull: false });
});

t.test('between two daemons it waits on, and the next is asked what is left to ask', async (t) => {
  const { desk, sent, verdicts, question } = deskOf();
  const withdrawals = [1_000, 2_000, 3_000].map((timeoutMs) => {
    const asked = question();
    return desk.ask({ ...asked, held: { ...asked.held, timeoutMs } });
  });
  desk.suspend();
  await new Promise((resolve) => setTimeout(resolve, 30));
  // By the daemon that has gone, which has told whoever approved it that it was not taken.
  desk.answered({ hold: 0, approved: true, reason: null, by: ROOT });
  t.strictSame(verdicts, []);
  const withdraw = withdrawals[1];
  if (typeof withdraw === 'function') withdraw('cancelled');
  t.type(desk.ask(question()), 'function', 'what comes meanwhile waits');
  t.equal(sent.length, 3, 'nothing is kept for it');
  desk.resume();
  desk.resume();
  const again = sent.slice(3);
  t.match(again, [
    { type: 'held', hold: 0, held: { verbs: ['DELETE'] } },
    { type: 'held', hold: 2 },
    { type: 'held', hold: 3 },
  ]);
  t.equal(again.length, 3, 'what was cancelled is not asked, and all else once');
  const [first, third] = again;
  if (first?.type !== 'held' || third?.type !== 'held') throw new Error('not asked');
  t.ok(first.waitedMs >= 29, `${first.waitedMs} ms`);
  t.equal(first.waitedMs + first.held.timeoutMs, 1_000);
  t.equal(third.waitedMs + third.held.timeoutMs, 3_000);
  desk.answered({ hold: 2, approved: true, reason: null, by: ROOT });
  t.match(verdicts, [{ outcome: 'approved', by: ROOT }]);
});

t.test('what the daemon has no room for is refused by it', async (t) => {
  const { desk, verdicts, sent, question } = deskOf();
  desk.ask(question());
  desk.answered({ hold: 0, approved: false, reason: 'too many wait', by: null });
  t.strictSame(verdicts, [{ outcome: 'refused', reason: 'too many wait', by: null }]);
  desk.ask(question());
  desk.answered({ hold: 1, approved: true, reason: null, by: null });
  t.match(verdicts[1], { outcome: 'refused' }, 'nobody has approved that');
  t.match(sent.at(-1), { type: 'released', hold: 1, outcome: 'refused' });
});

t.test(
  'refusals are told to the daemon; those while there is none by one message when there is',
  async (t) => {
    const { desk, sent } = deskOf();
    desk.refused();
    t.strictSame(sent, [{ type: 'holds-refused', count: 1 }]);
    desk.suspend();
    for (let n = 0; n < 1_000; n += 1) desk.refused();
    t.equal(sent.length, 1, 'nothing is kept for it');
    desk.resume();
    desk.resume();
    t.strictSame(sent.slice(1), [{ type: 'holds-refused', count: 1_000 }]);
  },
);
