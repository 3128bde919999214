import t, { type Test } from 'tap';
import { StartFilter } from '#src/protocols/postgres/start-filter.ts';
import { type Outcome, outcomeOf } from '#test/support/outcome.ts';
import { authentication, message, sasl, uint32 } from '#test/support/postgres-packets.ts';
import { fuzz, underEverySplit } from '#test/support/readers.ts';

interface Seen {
  readonly sent: string;
  readonly done: boolean;
}

/** The agent's key is the server's backwards, with the process behind it in the log of what was asked. */
function makeFilter(): StartFilter {
  return new StartFilter({ keyFor: ({ key }) => Buffer.from(key).reverse() });
}

function readAll(chunks: readonly Buffer[]): Outcome<Seen> {
  const filter = makeFilter();
  const sent: Buffer[] = [];
  return outcomeOf(
    chunks,
    // What comes out may be a view of the chunk, so it is copied before the chunk is wiped.
    (chunk) => sent.push(...filter.push(chunk).map((piece) => Buffer.from(piece))),
    () => ({ sent: Buffer.concat(sent).toString('latin1'), done: filter.done }),
  );
}

function readEveryWay(t: Test, ...messages: readonly Buffer[]): Outcome<Seen> {
  return underEverySplit(t, readAll, Buffer.concat(messages));
}

const passes = (done: boolean, ...messages: readonly Buffer[]): Outcome<Seen> => ({
  value: { sent: Buffer.concat(messages).toString('latin1'), done },
});
const refused = (problem: string) => ({
  error: `at the start of a session the PostgreSQL server sent ${problem}`,
  fault: 'server',
  protocol: 'postgres',
});

const OK = authentication(0);
const READY = message('Z', Buffer.from('I'));
const NOTICE = message('N', Buffer.from('SNOTICE\0VNOTICE\0C00000\0Mhello\0\0'));
const FATAL = message('E', Buffer.from('SFATAL\0VFATAL\0C28P01\0Mno\0\0'));
const NEGOTIATE = message('v', uint32(0), uint32(1), Buffer.from('_pq_.x\0'));

t.test('takes mechanisms with channel binding out of the offer', async (t) => {
  const offered = sasl('SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256');
  t.same(readEveryWay(t, offered), passes(false, sasl('SCRAM-SHA-256')));
  const more = sasl('OAUTHBEARER', 'SCRAM-SHA-512-PLUS', 'SCRAM-SHA-256', 'SCRAM-SHA-256-PLUS');
  t.same(readEveryWay(t, more), passes(false, sasl('OAUTHBEARER', 'SCRAM-SHA-256')));
  t.same(readEveryWay(t, sasl('SCRAM-SHA-256')), passes(false, sasl('SCRAM-SHA-256')), 'nothing to take out');
});

t.test('a whole SCRAM exchange passes but for that', async (t) => {
  const later = [
    authentication(11, Buffer.from('r=nonce,s=salt,i=4096')),
    authentication(12, Buffer.from('v=signature')),
    OK,
    message('S', Buffer.from('server_version\u000017.2\0')),
  ];
  const expected = passes(false, NEGOTIATE, NOTICE, sasl('SCRAM-SHA-256'), ...later);
  t.same(readEveryWay(t, NEGOTIATE, NOTICE, sasl('SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'), ...later), expected);
});

t.test('the key to cancel with becomes another of the same length', async (t) => {
  const started = [OK, message('S', Buffer.from('a\0b\0')), NOTICE];
  for (const bytes of [4, 5, 32, 256]) {
    const key = Buffer.from(Array.from({ length: bytes }, (_, index) => index % 251));
    const told = message('K', uint32(4711), key);
    const issued = message('K', uint32(4711), Buffer.from(key).reverse());
    t.same(
      readEveryWay(t, ...started, told, READY),
      passes(true, ...started, issued, READY),
      `${bytes} bytes`,
    );
  }
  t.same(readEveryWay(t, ...started, READY), passes(true, ...started, READY), 'a server that has none');
  t.same(readEveryWay(t, ...started), passes(false, ...started), 'not yet');
  for (const bytes of [0, 3, 257]) {
    const told = message('K', uint32(4711), Buffer.alloc(bytes));
    t.same(readEveryWay(t, OK, told), refused('a key of invalid length'), `${bytes} bytes`);
  }
  t.same(readEveryWay(t, OK, message('K')), refused('a key of invalid length'));
});

t.test('what a session starts with comes out in one piece', async (t) => {
  const all = Buffer.concat([OK, NOTICE, NOTICE, message('K', uint32(1), uint32(2)), READY, NOTICE]);
  t.equal(makeFilter().push(all).length, 1, 'each would be a packet of its own');
});

t.test('every other way to authenticate passes as it is', async (t) => {
  for (const code of [2, 3, 6, 7, 9]) {
    t.same(readEveryWay(t, authentication(code)), passes(false, authentication(code)), `${code}`);
  }
  const md5 = authentication(5, Buffer.from('salt'));
  t.same(readEveryWay(t, md5, OK), passes(false, md5, OK));
  const ticket = authentication(8, Buffer.alloc(60_000, 5));
  t.same(readAll([ticket, OK].map((bytes) => Buffer.from(bytes))), passes(false, ticket, OK));
});

t.test('passes anything once the session is ready or refused', async (t) => {
  const anything = Buffer.from('\0\xff not a message', 'latin1');
  t.same(readEveryWay(t, OK, READY, anything), passes(true, OK, READY, anything));
  t.same(readEveryWay(t, OK, FATAL, anything), passes(true, OK, FATAL, anything));
  t.same(readEveryWay(t, FATAL, anything), passes(true, FATAL, anything));
  const offered = sasl('SCRAM-SHA-256-PLUS');
  t.same(
    readEveryWay(t, OK, READY, offered),
    passes(true, OK, READY, offered),
    'even what was filtered before',
  );
});

t.test('is done at the first bytes of an error, and holds AuthenticationOk until it is whole', async (t) => {
  t.match(readAll([FATAL.subarray(0, 4)].map((bytes) => Buffer.from(bytes))), { value: { done: false } });
  t.match(readAll([FATAL.subarray(0, 5)].map((bytes) => Buffer.from(bytes))), { value: { done: true } });
  t.same(readAll([Buffer.from(OK.subarray(0, 8))]), passes(false), 'nothing of a message leaves early');
});

t.test('notices are not held, however long', async (t) => {
  const long = message('N', Buffer.alloc(900_000, 0x41));
  const filter = makeFilter();
  t.equal(Buffer.concat(filter.push(long.subarray(0, 1_000))).length, 1_000, 'passed at once');
  t.equal(Buffer.concat(filter.push(long.subarray(1_000))).length, long.length - 1_000);
  t.equal(filter.done, false);
  t.same(filter.push(OK).length, 1);
});

t.test('a server that offers channel binding only is told so', async (t) => {
  const outcome = readEveryWay(t, sasl('SCRAM-SHA-256-PLUS'));
  t.same(outcome, {
    error: 'the server offers authentication with channel binding only, which needs TLS from end to end',
    fault: 'server',
    protocol: 'postgres',
  });
});

t.test('refuses what does not belong into authentication', async (t) => {
  const wrong = refused('a message that does not belong there');
  for (const type of ['S', 'K', 'Z', 'T', 'D', 'p', 'Q', '\0', 'H']) {
    t.same(readEveryWay(t, message(type, Buffer.alloc(8))), wrong, JSON.stringify(type));
  }
  t.same(readEveryWay(t, NOTICE, READY), wrong, 'nor after a notice');
  for (const type of ['R', 'v', 'T', 'D', 'p', 'Q', '\0', 'H', 'W']) {
    t.same(
      readEveryWay(t, OK, message(type, Buffer.alloc(8))),
      wrong,
      `${JSON.stringify(type)} before it is ready`,
    );
  }
  t.same(readEveryWay(t, authentication(1)), refused('an unknown authentication method'));
  t.same(readEveryWay(t, authentication(13)), refused('an unknown authentication method'));
});

t.test('refuses broken messages', async (t) => {
  const invalid = refused('a message of invalid length');
  const header = (type: string, length: number): Buffer => Buffer.concat([Buffer.from(type), uint32(length)]);
  for (const bytes of [
    header('R', 0),
    header('R', 7),
    header('R', 65_537),
    header('v', 7),
    header('E', 4),
    header('N', 0),
  ]) {
    t.same(readEveryWay(t, bytes), invalid, bytes.toString('hex'));
  }
  t.same(
    readEveryWay(t, authentication(0, Buffer.alloc(1))),
    refused('an AuthenticationOk of invalid length'),
  );
  const old = refused('an error in the form of protocol 2 (no session to be had)');
  t.same(readEveryWay(t, Buffer.from('Ecould not fork new process for connection\n\0')), old);
  const list = refused('a malformed list of SASL mechanisms');
  for (const content of ['', '\0', 'SCRAM-SHA-256', 'SCRAM-SHA-256\0', '\0\0', 'A\0\0B\0\0', 'A\0B\0\0\0']) {
    t.same(readEveryWay(t, authentication(10, Buffer.from(content))), list, JSON.stringify(content));
  }
});

t.test('after a refusal nothing passes any more', async (t) => {
  const filter = makeFilter();
  t.throws(() => filter.push(message('Z', Buffer.from('I'))), { name: 'ProtocolError' });
  t.throws(() => filter.push(OK), { name: 'ProtocolError' });
  t.equal(filter.done, false);
});

t.test('fuzz: bytes or the typed error, and the same under any split', async (t) => {
  const seeds = [
    Buffer.concat([sasl('SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'), authentication(11, Buffer.from('r=x')), OK]),
    Buffer.concat([
      NEGOTIATE,
      NOTICE,
      authentication(5, Buffer.from('salt')),
      OK,
      message('Z', Buffer.from('I')),
    ]),
    Buffer.concat([NOTICE, FATAL]),
    Buffer.concat([
      OK,
      message('S', Buffer.from('a\0b\0')),
      message('K', uint32(1), Buffer.alloc(32, 7)),
      READY,
    ]),
  ];
  const check = ({ sent, done }: Seen): string | null => (sent.includes('-PLUS') && !done ? 'leaked' : null);
  fuzz(t, { readAll, seeds, randomSeed: 41, rounds: 2_000, check });
});
