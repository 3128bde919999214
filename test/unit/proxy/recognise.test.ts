import type { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import t from 'tap';
import { AgentInput } from '#src/proxy/agent-input.ts';
import { nameOf, type Recognised, recognise, seenOf } from '#src/proxy/recognise.ts';
import { helloMessage, inRecords, sni } from '#test/support/client-hello.ts';
import { GSS_REQUEST } from '#test/support/postgres-packets.ts';

/** None passes because the machine is busy. */
const LONG_MS = 120_000;
const GET = Buffer.from('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n');
const SSL_REQUEST = Buffer.from('0000000804d2162f', 'hex');
const STARTUP = Buffer.from('00000014000300007573657200616c6963650000', 'hex');

interface Outcome {
  readonly recognised: Recognised;
  readonly replies: string;
  readonly announced: readonly string[];
  readonly taken: Buffer | null;
}

/** @param pieces what the agent sends, each once the one before was read; then it sends no more */
async function run(
  pieces: readonly Buffer[],
  timeoutMs = LONG_MS,
  mayHaveOwnTls: () => boolean = () => false,
): Promise<Outcome> {
  // Recognition uses nothing of a socket that a duplex stream has not.
  const socket = new PassThrough({ autoDestroy: false }) as unknown as PassThrough & Socket;
  const input = new AgentInput(socket);
  let replies = '';
  const announced: string[] = [];
  const waiting = recognise(
    input,
    timeoutMs,
    {
      reply: (bytes) => {
        replies += Buffer.from(bytes).toString('latin1');
      },
      mayHaveOwnTls,
    },
    (protocol) => announced.push(protocol),
  );
  // It may fail before it is waited for.
  waiting.catch(() => undefined);
  for (const piece of pieces) {
    socket.write(piece);
    await new Promise(setImmediate);
  }
  socket.end();
  return { recognised: await waiting, replies, announced, taken: input.take() };
}

const bytewise = (bytes: Buffer): Buffer[] => [...bytes].map((byte) => Buffer.from([byte]));

t.test('HTTP, whole and byte by byte', async (t) => {
  for (const pieces of [[GET], bytewise(GET)]) {
    const { recognised, announced, taken } = await run(pieces);
    t.match(recognised, { protocol: 'http', head: { method: 'GET', host: 'a.test' } });
    t.same(seenOf(recognised), { protocol: 'http', agentTls: false, name: 'a.test' });
    t.same(announced, ['http']);
    t.same(taken, GET, 'what was read is all there');
  }
});

t.test('PostgreSQL, with its request for encryption answered', async (t) => {
  const whole = await run([SSL_REQUEST, STARTUP]);
  const bytes = await run([...bytewise(SSL_REQUEST), ...bytewise(STARTUP)]);
  for (const { recognised, replies } of [whole, bytes]) {
    t.match(recognised, { protocol: 'postgres', opening: { kind: 'startup', user: 'alice', raw: STARTUP } });
    t.equal(replies, 'N');
    t.same(seenOf(recognised), { protocol: 'postgres', agentTls: false, name: null, replication: false });
    t.equal(nameOf(recognised), null);
  }
});

t.test("PostgreSQL in the agent's own TLS", async (t) => {
  const hello = inRecords(helloMessage({ extensions: [sni('db.test')] }), 60);
  const yes = (): boolean => true;
  const whole = await run([SSL_REQUEST, hello], LONG_MS, yes);
  const bytes = await run([...bytewise(SSL_REQUEST), ...bytewise(hello)], LONG_MS, yes);
  const gssFirst = await run([GSS_REQUEST, SSL_REQUEST, hello], LONG_MS, yes);
  for (const { recognised, replies, taken, announced } of [whole, bytes, gssFirst]) {
    t.match(recognised, { protocol: 'tls', helloBytes: hello.length, inPostgres: true });
    t.equal(replies, recognised === gssFirst.recognised ? 'NS' : 'S');
    t.same(seenOf(recognised), { protocol: 'postgres', agentTls: true, name: 'db.test' });
    t.same(taken, hello, 'what it asked for TLS with is left out: the server is asked anew');
    t.same(announced, ['postgres', 'tls'], 'it is told in TLS from then on');
  }
  // Whoever sends its ClientHello along has not waited for the answer (CVE-2021-23214).
  await t.rejects(run([Buffer.concat([SSL_REQUEST, hello])], LONG_MS, yes), {
    name: 'ProtocolError',
    fault: 'agent',
  });
  await t.rejects(
    run([SSL_REQUEST, STARTUP], LONG_MS, yes),
    { name: 'ProtocolError', fault: 'agent' },
    'plain text behind it',
  );
  await t.rejects(
    run([SSL_REQUEST], LONG_MS, yes),
    { name: 'ProtocolError', fault: 'agent' },
    'nothing behind it',
  );
  await t.rejects(
    run([SSL_REQUEST, hello.subarray(0, 20)], LONG_MS, yes),
    { name: 'ProtocolError', fault: 'agent' },
    'half of it',
  );
});

t.test('what is unsure is unknown', async (t) => {
  t.match((await run([])).recognised, { protocol: 'unknown' });
  t.match((await run([Buffer.from('GE')])).recognised, { protocol: 'unknown' });
  t.match((await run([Buffer.from([0xff, 0xfe])])).recognised, { protocol: 'unknown' });
  t.match((await run([GET.subarray(0, 20)])).recognised, { protocol: 'unknown' }, 'a head that breaks off');
});

t.test('bytes that begin a protocol and break it throw, with the protocol told before', async (t) => {
  const announced: string[] = [];
  const socket = new PassThrough() as unknown as PassThrough & Socket;
  const waiting = recognise(
    new AgentInput(socket),
    LONG_MS,
    { reply: () => undefined, mayHaveOwnTls: () => false },
    (protocol) => announced.push(protocol),
  );
  socket.write('GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n');
  await t.rejects(waiting);
  t.same(announced, ['http']);
});
