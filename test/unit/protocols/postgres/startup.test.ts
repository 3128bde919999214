import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import {
  REFUSE_ENCRYPTION,
  readSslAnswer,
  SSL_REQUEST,
  type StartupEvent,
  StartupReader,
} from '#src/protocols/postgres/startup.ts';
import { type Outcome, outcomeOf } from '#test/support/outcome.ts';
import { cancelRequest, GSS_REQUEST, startupMessage } from '#test/support/postgres-packets.ts';
import { fuzz, underEverySplit } from '#test/support/readers.ts';
import { splitsOf } from '#test/support/splits.ts';

interface Seen {
  readonly events: readonly StartupEvent[];
  readonly rest: string;
}

/** Each element is what a client sends without waiting; what is in it may be cut anywhere. */
function readAll(chunks: readonly Buffer[]): Outcome<Seen> {
  const reader = new StartupReader();
  const events: StartupEvent[] = [];
  return outcomeOf(
    chunks,
    (chunk) => events.push(...reader.push(chunk)),
    () => ({ events, rest: reader.rest().toString('hex') }),
  );
}

function readEveryWay(t: Test, bytes: Buffer): Outcome<Seen> {
  return underEverySplit(t, readAll, bytes);
}

const STARTUP = startupMessage({ user: 'app', database: 'shop' });

t.test('reads a start-up packet and keeps what follows', async (t) => {
  const event = {
    kind: 'startup',
    raw: STARTUP,
    user: 'app',
    database: 'shop',
    major: 3,
    minor: 0,
    replication: false,
    privileged: false,
  };
  t.same(readEveryWay(t, STARTUP), { value: { events: [event], rest: '' } });
  t.same(readEveryWay(t, Buffer.concat([STARTUP, Buffer.from('p\0')])), {
    value: { events: [event], rest: '7000' },
  });
});

t.test('reads requests for encryption, each answered before the client goes on', async (t) => {
  t.same(readEveryWay(t, SSL_REQUEST), { value: { events: [{ kind: 'ssl-request' }], rest: '' } });
  t.same(readEveryWay(t, GSS_REQUEST), { value: { events: [{ kind: 'gss-request' }], rest: '' } });
  const reader = new StartupReader();
  const kinds = [GSS_REQUEST, SSL_REQUEST, STARTUP].flatMap((packet) =>
    reader.push(packet).map(({ kind }) => kind),
  );
  t.same(kinds, ['gss-request', 'ssl-request', 'startup']);
});

t.test('a packet may come cut after its encryption was refused', async (t) => {
  for (const { name, chunks } of splitsOf(STARTUP, 8)) {
    t.match(
      readAll([Buffer.from(SSL_REQUEST), ...chunks]),
      { value: { events: [{}, { kind: 'startup' }] } },
      name,
    );
  }
});

t.test('refuses bytes that did not wait for the answer', async (t) => {
  const error = 'PostgreSQL start-up packet: bytes after a request for encryption';
  for (const stuffed of [STARTUP, Buffer.from([0]), SSL_REQUEST]) {
    t.match(readAll([Buffer.concat([SSL_REQUEST, stuffed])]), {
      error,
      fault: 'agent',
      protocol: 'postgres',
    });
    t.match(readAll([Buffer.concat([GSS_REQUEST, stuffed])]), { error });
    t.match(
      readAll(
        [SSL_REQUEST.subarray(0, 5), Buffer.concat([SSL_REQUEST.subarray(5), stuffed])].map(Buffer.from),
      ),
      {
        error,
      },
    );
  }
});

t.test('refuses the same request for encryption twice', async (t) => {
  const error = 'PostgreSQL start-up packet: the same encryption asked for twice';
  t.match(readAll([Buffer.from(SSL_REQUEST), Buffer.from(SSL_REQUEST)]), { error });
  t.match(readAll([Buffer.from(GSS_REQUEST), Buffer.from(SSL_REQUEST), Buffer.from(GSS_REQUEST)]), { error });
});

t.test('reads cancel requests, with the long keys of protocol 3.2', async (t) => {
  for (const keyBytes of [4, 32, 256]) {
    const raw = cancelRequest(keyBytes);
    t.same(
      readEveryWay(t, raw),
      { value: { events: [{ kind: 'cancel', raw }], rest: '' } },
      `${keyBytes} bytes`,
    );
  }
  const error = 'PostgreSQL start-up packet: cancel request of invalid length';
  for (const keyBytes of [0, 3, 257])
    t.match(readEveryWay(t, cancelRequest(keyBytes)), { error }, `${keyBytes} bytes`);
});

t.test('nothing may follow a cancel request', async (t) => {
  const error = 'PostgreSQL start-up packet: bytes after a cancel request';
  t.match(readEveryWay(t, Buffer.concat([cancelRequest(4), Buffer.from('x')])), { error });
});

t.test('has bounds', async (t) => {
  const length = (value: number): Buffer => {
    const packet = Buffer.alloc(8);
    packet.writeUInt32BE(value);
    packet.writeUInt32BE(0x00030000, 4);
    return packet;
  };
  const error = 'PostgreSQL start-up packet: invalid length';
  for (const value of [0, 7, 10_005, 0xffffffff])
    t.match(readEveryWay(t, length(value)), { error }, `${value}`);
  t.same(readEveryWay(t, length(10_004)), { value: { events: [], rest: '' } }, 'the longest is waited for');
  const long = startupMessage({ user: 'app', options: 'x'.repeat(10_004 - 27) });
  t.equal(long.length, 10_004);
  t.match(readAll([long]), { value: { events: [{ user: 'app' }] } });
  const flood = Buffer.concat([STARTUP, Buffer.alloc(65_537)]);
  t.match(readAll([flood]), { error: 'PostgreSQL start-up packet: too many bytes after it' });
});

t.test('requests for encryption have one length', async (t) => {
  const longer = Buffer.concat([SSL_REQUEST, Buffer.alloc(1)]);
  longer.writeUInt32BE(9);
  t.match(readEveryWay(t, longer), {
    error: 'PostgreSQL start-up packet: request for encryption of invalid length',
  });
});

t.test('judges a server’s answer to SSLRequest', async (t) => {
  t.equal(SSL_REQUEST.toString('hex'), '0000000804d2162f');
  t.equal(REFUSE_ENCRYPTION.toString(), 'N');
  t.equal(readSslAnswer(0x53), 'accept');
  t.equal(readSslAnswer(0x4e), 'refuse');
  t.equal(readSslAnswer(0x45), 'error');
  for (const byte of [0, 0x16, 0x48, 0x73, 0xff]) {
    t.throws(() => readSslAnswer(byte), { name: 'ProtocolError', message: /neither S nor N$/ });
  }
});

t.test('reads what psql sends', { skip: hasPsql() ? false : 'psql is not installed' }, async (t) => {
  for (const [sslmode, kinds] of [
    ['disable', ['startup']],
    ['prefer', ['ssl-request', 'startup']],
  ] as const) {
    const events = await eventsOfPsql(`sslmode=${sslmode} gssencmode=disable user=app dbname=shop`);
    t.same(
      events.map(({ kind }) => kind),
      kinds,
      sslmode,
    );
    t.match(events.at(-1), { user: 'app', database: 'shop', major: 3, replication: false });
  }
});

t.test('fuzz: events or the typed error, and the same under any split', async (t) => {
  const seeds = [STARTUP, startupMessage({ user: 'app', replication: 'database' }, 2), cancelRequest(32)];
  fuzz(t, { readAll, seeds, randomSeed: 31, rounds: 2_000 });
});

function hasPsql(): boolean {
  return spawnSync('psql', ['--version']).status === 0;
}

/** Lets psql connect to a server that refuses encryption and hangs up after the start-up packet. */
async function eventsOfPsql(connection: string): Promise<StartupEvent[]> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const psql = spawn('psql', [`${connection} host=127.0.0.1 port=${port}`, '-c', ''], { stdio: 'ignore' });
  const ended = once(psql, 'exit');
  const [socket] = (await once(server, 'connection')) as [Socket];
  const events = await eventsOf(socket);
  server.close();
  await ended;
  return events;
}

async function eventsOf(socket: Socket): Promise<StartupEvent[]> {
  const reader = new StartupReader();
  const events: StartupEvent[] = [];
  for await (const chunk of socket) {
    const found = reader.push(chunk);
    events.push(...found);
    if (found.some(({ kind }) => kind === 'startup')) break;
    if (found.length > 0) socket.write(REFUSE_ENCRYPTION);
  }
  return events;
}
