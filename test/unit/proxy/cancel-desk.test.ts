import t from 'tap';
import { CancelDesk } from '#src/proxy/cancel-desk.ts';
import { CancelKeys, digestOf, type SessionPlace } from '#src/proxy/cancel-keys.ts';
import type { CancelAnswer, CancelQuestion } from '#src/proxy/ipc.ts';

const place: SessionPlace = {
  agentId: 1,
  netnsCookie: 7n,
  dstIp: '192.0.2.1',
  dstPort: 5432,
};
const server = { port: 5433, name: 'db.test', dnsName: 'db.test' };
const found = { key: Buffer.from('real'), server };
const theirs = { processId: 42, key: Buffer.from('real') };
let tellings = 0;
const told = (): void => {
  tellings += 1;
};
const clock = { now: () => 0, monotonic: () => 0 };

function deskOf(keys = new CancelKeys()) {
  const sent: (CancelQuestion | CancelAnswer)[] = [];
  const desk = new CancelDesk(keys, clock, (message) => sent.push(message));
  return { desk, sent, keys };
}

t.test('what is known here is asked nobody', async (t) => {
  const { desk, sent, keys } = deskOf();
  const { key, digest } = keys.issue(place, server, theirs, told);
  t.equal(key.length, 4);
  t.same(await desk.find(place, { processId: 42, key }), found);
  t.equal(tellings, 1, 'what waits in it is told');
  t.same(sent, []);
  keys.withdraw(digest);
  t.equal(keys.size, 0);
});

t.test('an answer goes to its question, and to no other', async (t) => {
  const { desk, sent } = deskOf();
  const one = desk.find(place, { processId: 42, key: Buffer.from('onek') });
  const two = desk.find(place, { processId: 42, key: Buffer.from('twok') });
  const [first, second] = sent;
  if (first === undefined || second === undefined) throw new Error('nothing was asked');
  const answer = (question: number, digest: string, key: string | null): CancelAnswer => {
    return { type: 'cancel-found', question, digest, session: key === null ? null : { key, server } };
  };
  // A predecessor of this process asked under the same number.
  desk.answered(answer(first.question, second.digest, '65766576'));
  desk.answered(answer(99, first.digest, '65766576'));
  desk.answered(answer(second.question, second.digest, null));
  desk.answered(answer(first.question, first.digest, '7265616c'));
  desk.answered(answer(first.question, first.digest, '65766576'));
  t.same(await one, found);
  t.equal(await two, null);
});

t.test('answers what it knows and says of the rest that it does not', async (t) => {
  const { desk, sent, keys } = deskOf();
  const { key } = keys.issue(place, server, theirs, told);
  const digest = digestOf(place, { processId: 42, key });
  tellings = 0;
  desk.asked({ type: 'cancel', question: 5, digest });
  t.equal(tellings, 1, 'what waits in it is told');
  desk.asked({ type: 'cancel', question: 6, digest: '0'.repeat(64) });
  t.same(sent, [
    { type: 'cancel-found', question: 5, digest, session: { key: '7265616c', server } },
    { type: 'cancel-found', question: 6, digest: '0'.repeat(64), session: null },
  ]);
});

t.test('without an answer there is no key', async (t) => {
  const { desk } = deskOf();
  t.equal(await desk.find(place, theirs), null);
});

t.test('an agent that guesses is soon not listened to, and others are', async (t) => {
  const { desk, sent, keys } = deskOf();
  const { key } = keys.issue({ ...place, agentId: 2 }, server, theirs, told);
  const guesses = Array.from({ length: 1_000 }, (_, guess) => {
    const guessed = Buffer.alloc(4);
    guessed.writeUInt32BE(guess);
    return desk.find(place, { processId: 42, key: guessed });
  });
  t.equal(sent.length, 200);
  t.same(await desk.find({ ...place, agentId: 2 }, { processId: 42, key }), found);
  t.ok((await Promise.all(guesses)).every((each) => each === null));
});

t.test('everything that tells sessions apart is in the digest', async (t) => {
  const others: SessionPlace[] = [
    { ...place, agentId: 2 },
    { ...place, netnsCookie: 8n },
    { ...place, dstIp: '192.0.2.2' },
    { ...place, dstPort: 5433 },
  ];
  const digests = [
    ...[place, ...others].map((each) => digestOf(each, theirs)),
    digestOf(place, { ...theirs, processId: 43 }),
    digestOf(place, { ...theirs, key: Buffer.from('rea') }),
  ];
  t.equal(new Set(digests).size, digests.length);
});
