import t from 'tap';
import { CancelRelay, isCancelAnswer, isCancelQuestion, type Peer } from '#src/daemon/cancel-relay.ts';
import type { CancelAnswer, CancelQuestion } from '#src/proxy/ipc.ts';

const digest = 'ab'.repeat(32);
const KEY = '7265616c';
const server = { port: 5432, name: 'db.test', dnsName: null };

interface TestPeer extends Peer {
  readonly told: (CancelQuestion | CancelAnswer)[];
}

function peersOf(count: number): TestPeer[] {
  return Array.from({ length: count }, (_, key) => {
    const told: (CancelQuestion | CancelAnswer)[] = [];
    return { key, told, send: (message) => told.push(message) };
  });
}

function make(count: number) {
  const peers = peersOf(count);
  const [asker, one, two] = peers;
  if (asker === undefined || one === undefined || two === undefined) throw new Error('too few');
  return { peers, asker, one, two, relay: new CancelRelay(() => peers) };
}

const question = (number: number): CancelQuestion => ({ type: 'cancel', question: number, digest });
const answer = (number: number, key: string | null): CancelAnswer => {
  return { type: 'cancel-found', question: number, digest, session: key === null ? null : { key, server } };
};
/** The daemon's own number of the last question. */
const asked = (peer: TestPeer): number => peer.told.at(-1)?.question ?? -1;

t.test('who has the session answers, and the asker is told once', async (t) => {
  const { relay, asker, one, two } = make(3);
  relay.asked(asker, question(9));
  t.same(one.told, [question(asked(one))]);
  relay.answered(one, answer(asked(one), null));
  t.same(asker.told, []);
  relay.answered(two, answer(asked(two), KEY));
  relay.answered(two, answer(asked(two), KEY));
  t.same(asker.told, [answer(9, KEY)]);
});

t.test('nobody has it', async (t) => {
  const { relay, asker, one, two } = make(3);
  relay.asked(asker, question(9));
  for (const peer of [one, two]) relay.answered(peer, answer(asked(peer), null));
  t.same(asker.told, [answer(9, null)]);
  const alone = new CancelRelay(() => [asker]);
  alone.asked(asker, question(10));
  t.same(asker.told.at(-1), answer(10, null), 'there is no other worker');
});

t.test('an answer counts from who was asked, once, to what was asked', async (t) => {
  const { relay, asker, one, two } = make(3);
  relay.asked(asker, question(9));
  const number = asked(one);
  relay.answered(asker, answer(number, KEY));
  relay.answered({ key: 77, send: () => undefined }, answer(number, KEY));
  relay.answered(one, { ...answer(number, KEY), digest: 'cd'.repeat(32) });
  relay.answered(one, answer(number + 1, KEY));
  relay.answered(one, answer(number, null));
  relay.answered(one, answer(number, KEY));
  t.same(asker.told, []);
  relay.answered(two, answer(number, null));
  t.same(asker.told, [answer(9, null)]);
});

t.test('a worker that ends has nothing more to say', async (t) => {
  const { relay, asker, one, two } = make(3);
  relay.asked(asker, question(9));
  relay.answered(one, answer(asked(one), null));
  relay.gone(two);
  t.same(asker.told, [answer(9, null)]);
});

t.test('one that is silent is not waited for', async (t) => {
  const { asker, one, peers } = make(3);
  const relay = new CancelRelay(() => peers, 10);
  relay.asked(asker, question(9));
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.same(asker.told, [answer(9, null)]);
  relay.answered(one, answer(asked(one), KEY));
  t.equal(asker.told.length, 1);
});

t.test('one that was kept from answering for two seconds is', async (t) => {
  const { relay, asker, one } = make(3);
  relay.asked(asker, question(9));
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  relay.answered(one, answer(asked(one), KEY));
  t.same(asker.told, [answer(9, KEY)]);
});

t.test('a flood is its own worker’s loss', async (t) => {
  const { relay, asker, one, two } = make(3);
  for (let number = 0; number < 3_000; number += 1) relay.asked(asker, question(number));
  t.equal(two.told.length, 1_024);
  t.equal(asker.told.length, 3_000 - 1_024);
  relay.asked(one, question(1));
  t.equal(two.told.length, 1_025);
  relay.gone(asker);
  relay.asked(asker, question(1));
  t.equal(two.told.length, 1_026, 'room again');
  relay.gone(asker);
  relay.gone(one);
});

t.test('what a worker says is checked', async (t) => {
  t.ok(isCancelQuestion({ ...question(1) }));
  t.ok(isCancelAnswer({ ...answer(1, null) }));
  t.ok(isCancelAnswer({ ...answer(1, 'ff'.repeat(256)) }));
  for (const wrong of [
    { question: -1 },
    { question: 'x' },
    { digest: 'ab' },
    { digest: 'AB'.repeat(32) },
    { type: 'name' },
  ]) {
    t.notOk(isCancelQuestion({ ...question(1), ...wrong }), JSON.stringify(wrong));
    t.notOk(isCancelAnswer({ ...answer(1, KEY), ...wrong }), JSON.stringify(wrong));
  }
  for (const key of [1, 'xy', 'ff', 'ff'.repeat(257), '7265616', undefined])
    t.notOk(isCancelAnswer({ ...answer(1, KEY), session: { key, server } }), String(key));
  for (const wrong of [
    { port: -1 },
    { port: 65_536 },
    { name: 1 },
    { name: 'x'.repeat(256) },
    { dnsName: 1 },
  ]) {
    const session = { key: KEY, server: { ...server, ...wrong } };
    t.notOk(isCancelAnswer({ ...answer(1, KEY), session }), JSON.stringify(wrong));
  }
  for (const session of [undefined, 1, {}, { key: KEY }, { key: KEY, server: null }])
    t.notOk(isCancelAnswer({ ...answer(1, KEY), session }), JSON.stringify(session));
});
