import t from 'tap';
import { ProtocolError } from '#src/core/protocol-error.ts';
import { agentId } from '#src/policy/agent-id.ts';
import type { DnsPolicy } from '#src/policy/dns-names.ts';
import { readAnswer } from '#src/protocols/dns/answer.ts';
import type { Query } from '#src/protocols/dns/query.ts';
import { NoAnswer } from '#src/proxy/dns/exchange.ts';
import { Forwarder } from '#src/proxy/dns/forwarder.ts';
import type { Resolution, ResolverClient } from '#src/proxy/dns/resolver-client.ts';
import { message, pointer, QUESTION, query, record } from '#test/support/dns-messages.ts';
import { facts } from '../harness.ts';

const clock = { now: () => 0, monotonic: () => 0 };
const tester = agentId('tester');
const asker = facts({ ip: '192.0.2.53', port: 53 });
const POLICY: DnsPolicy = {
  revision: 'aaaaaaaaaaaa',
  resolvers: ['192.0.2.53'],
  nameLife: { graceSeconds: 30, maxSeconds: 3600 },
  queriesPerSecond: 500,
  record: 'all',
  agents: [{ id: tester, name: 'tester', names: null }],
};

/** Answers every question with one address. */
const honest = async (_servers: readonly string[], _asked: string, asked: Query): Promise<Resolution> => {
  const name = asked.name.subarray(1, 1 + (asked.name[0] ?? 0)).toString();
  const bytes = message({
    name: `${name}.test`,
    answers: [record(pointer(QUESTION), 1, Buffer.from([192, 0, 2, 7]))],
  });
  return { bytes, answer: readAnswer(bytes, { id: 7, name: asked.name, type: 1 }), server: '192.0.2.53' };
};

const made = (ask: typeof honest = honest, policy: DnsPolicy = POLICY): Forwarder =>
  new Forwarder(clock, { ask } as unknown as ResolverClient, policy);
const rcode = (reply: Buffer | null): number | null => (reply === null ? null : reply.readUInt16BE(2) & 15);

t.test('what an agent asked and got is remembered before it has the answer', async (t) => {
  const forwarder = made();
  const { reply, outcome } = await forwarder.handle(query({ name: 'A.test' }), asker, 'udp');
  t.equal(forwarder.memory.nameFor(tester, '192.0.2.7'), 'a.test');
  t.equal(forwarder.memory.nameFor(tester + 1, '192.0.2.7'), null);
  t.equal(rcode(reply), 0);
  t.match(outcome, {
    name: 'a.test',
    verdict: 'allow',
    reason: 'ok',
    detail: 'A from 192.0.2.53: NOERROR, 1 address',
  });
  t.match(forwarder.counters(), { questions: 1, answered: 1 });
});

t.test('names that are no host’s are answered and stand for nothing', async (t) => {
  const forwarder = made(async (...asked) => {
    const resolution = await honest(...asked);
    return resolution;
  });
  await forwarder.handle(query({ name: 'a b.test' }), asker, 'udp');
  t.equal(forwarder.memory.nameFor(tester, '192.0.2.7'), null);
});

t.test(
  'what no agent of the policy asks, or for a name that is not its to ask, is refused unasked',
  async (t) => {
    let asked = 0;
    const counting = (...args: Parameters<typeof honest>): Promise<Resolution> => {
      asked += 1;
      return honest(...args);
    };
    const forwarder = made(counting, {
      ...POLICY,
      agents: [{ id: tester, name: 'tester', names: ['*.ok.test', 'one.test'] }],
    });
    for (const name of ['two.test', 'x.one.test', 'x.y.ok.test', '_x.test', '']) {
      const { reply, outcome } = await forwarder.handle(query({ name }), asker, 'udp');
      t.equal(rcode(reply), 3, name);
      t.match(outcome, { verdict: 'deny', reason: 'no_rule' });
    }
    t.equal(asked, 0);
    t.equal(rcode((await forwarder.handle(query({ name: 'ONE.test' }), asker, 'udp')).reply), 0);
    const stranger = { ...asker, agentId: tester + 1 };
    t.match((await made().handle(query(), stranger, 'udp')).outcome, { reason: 'no_rule' });
  },
);

t.test('no answer is told as failure, with why', async (t) => {
  const silent = made(() => Promise.reject(new NoAnswer('192.0.2.53 did not answer in time')));
  t.match(await silent.handle(query(), asker, 'udp'), {
    outcome: { verdict: 'error', reason: 'dns_failed', detail: 'A: 192.0.2.53 did not answer in time' },
  });
  const lying = made(() => Promise.reject(new ProtocolError('dns', 'server', 'a record nobody asked for')));
  const { reply, outcome } = await lying.handle(query(), asker, 'udp');
  t.equal(rcode(reply), 2);
  t.match(outcome, { reason: 'dns_failed', detail: /refused: a record nobody asked for/ });
  await t.rejects(
    made(() => Promise.reject(new TypeError('a defect'))).handle(query(), asker, 'udp'),
    TypeError,
  );
});

t.test('what cannot be read is answered by its code, or not', async (t) => {
  const forwarder = made();
  t.match(await forwarder.handle(Buffer.from('x'), asker, 'udp'), {
    reply: null,
    outcome: { reason: 'protocol_error' },
  });
  t.equal(rcode((await forwarder.handle(query({ flags: 0x2900 }), asker, 'udp')).reply), 4);
});

t.test('rates and questions under way are bounded for each agent', async (t) => {
  const slow = made(() => new Promise(() => undefined), { ...POLICY, queriesPerSecond: 100_000 });
  for (let n = 0; n < 256; n += 1) void slow.handle(query(), asker, 'udp');
  const { reply, outcome } = await slow.handle(query(), asker, 'udp');
  t.equal(rcode(reply), 2);
  t.match(outcome, { verdict: 'error', reason: 'overloaded' });

  const limited = made(honest, { ...POLICY, queriesPerSecond: 1 });
  const results = await Promise.all(Array.from({ length: 10 }, () => limited.handle(query(), asker, 'udp')));
  t.same(
    results.map(({ reply: each }) => rcode(each)),
    [0, 0, 5, 5, 5, 5, 5, 5, 5, 5],
  );
  t.equal(results.filter(({ outcome: each }) => each?.reason === 'overloaded').length, 1, 'one is told');
  t.match(limited.counters(), { questions: 10, answered: 2, limited: 8 });
  limited.setPolicy(POLICY);
  t.equal(limited.policy.queriesPerSecond, 500);
});
