import t from 'tap';
import { MAX_AGE_MS, MAX_SESSION_BYTES, RENEW_AFTER_MS, ResumptionCache } from '#src/proxy/resumption.ts';

const proof = { sha256: 'ab', notAfter: 1e15, group: null };
const ticket = Buffer.from('ticket');

t.test('a session is found under its own key until it is too old', async (t) => {
  let now = 0;
  const cache = new ResumptionCache({ now: () => now });
  cache.keep('a', ticket, proof, null);
  t.match(cache.find('a'), { session: ticket, proof });
  t.equal(cache.find('b'), null);
  now = MAX_AGE_MS - 1;
  t.ok(cache.find('a'));
  now = MAX_AGE_MS;
  t.equal(cache.find('a'), null);
  t.equal(cache.size, 0);
});

t.test('it is not older than its certificate', async (t) => {
  let now = 0;
  const cache = new ResumptionCache({ now: () => now });
  cache.keep('a', ticket, { sha256: 'ab', notAfter: 10, group: null }, null);
  now = 10;
  t.equal(cache.find('a'), null);
});

t.test('resuming does not put off the next full handshake', async (t) => {
  let now = 0;
  const cache = new ResumptionCache({ now: () => now });
  cache.keep('a', ticket, proof, null);
  now = MAX_AGE_MS - 1;
  cache.keep('a', Buffer.from('newer'), proof, cache.find('a'));
  t.equal(cache.find('a')?.session.toString(), 'newer');
  now = MAX_AGE_MS;
  t.equal(cache.find('a'), null);
});

t.test('a ticket is renewed before servers tire of it, and not with every flow', async (t) => {
  let now = 0;
  const cache = new ResumptionCache({ now: () => now });
  cache.keep('a', ticket, proof, null);
  const entry = cache.find('a');
  if (entry === null) throw new Error('it was kept');
  now = RENEW_AFTER_MS;
  t.notOk(cache.isAged(entry));
  now = RENEW_AFTER_MS + 1;
  t.ok(cache.isAged(entry));
});

t.test('it is bounded in number and in size', async (t) => {
  const cache = new ResumptionCache({ maxEntries: 2 });
  for (const key of ['a', 'b', 'c']) cache.keep(key, ticket, proof, null);
  t.equal(cache.size, 2);
  t.equal(cache.find('a'), null);
  cache.keep('d', Buffer.alloc(MAX_SESSION_BYTES + 1), proof, null);
  t.equal(cache.find('d'), null);
  cache.forget('c');
  t.equal(cache.find('c'), null);
});
