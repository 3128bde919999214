/** The client against real sockets on loopback, whose servers misbehave in every way a resolver can. */
import { createSocket } from 'node:dgram';
import { createServer, type Socket } from 'node:net';
import t from 'tap';
import { systemClock } from '#src/core/clock.ts';
import { ProtocolError } from '#src/core/protocol-error.ts';
import { readQuery } from '#src/protocols/dns/query.ts';
import { NoAnswer } from '#src/proxy/dns/exchange.ts';
import { ResolverClient } from '#src/proxy/dns/resolver-client.ts';
import { pointer, QUESTION, query, record, u16 } from '#test/support/dns-messages.ts';
import { freePort } from '#test/support/listening.ts';
import { patience } from '#test/support/patience.ts';

const IP = Buffer.from([192, 0, 2, 7]);
type Answerer = (question: Buffer) => readonly Buffer[];

/** Answers with the question as it came, `flags`, and records. */
const reply =
  (flags: number, ...records: Buffer[]): Answerer =>
  (question) => [
    Buffer.concat([
      question.subarray(0, 2),
      u16(flags, 1, records.length, 0, 0),
      question.subarray(12, question.indexOf(0, 12) + 5),
      ...records,
    ]),
  ];
const good = reply(0x8180, record(pointer(QUESTION), 1, IP));
const silent: Answerer = () => [];

/** A resolver on `address`; what it was asked, by which way. */
async function serve(
  address: string,
  wanted: number | 'any',
  datagram: Answerer,
  tcp: Answerer | 'refuse' = 'refuse',
): Promise<{
  readonly port: number;
  readonly asked: string[];
  readonly ports: Set<number>;
  readonly names: Set<string>;
}> {
  // The same for both ways: one that is free for datagrams may be taken for TCP.
  const port = wanted === 'any' ? await freePort() : wanted;
  const asked: string[] = [];
  const ports = new Set<number>();
  const names = new Set<string>();
  const socket = createSocket('udp4', (bytes, from) => {
    asked.push('datagram');
    ports.add(from.port);
    names.add(bytes.subarray(12, bytes.indexOf(0, 12)).toString('latin1'));
    for (const answer of datagram(bytes)) socket.send(answer, from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(port, address, resolve));
  t.teardown(() => socket.close());
  if (tcp !== 'refuse') {
    const server = createServer((client: Socket) => {
      client.on('error', () => undefined);
      client.on('data', (chunk: Buffer) => {
        asked.push('tcp');
        for (const answer of tcp(chunk.subarray(2)))
          client.write(Buffer.concat([u16(answer.length), answer]));
      });
    });
    await new Promise<void>((resolve) => server.listen(port, address, resolve));
    t.teardown(() => server.close());
  }
  return { port, asked, ports, names };
}

const asking = readQuery(query({ name: 'name-with-letters.test' }));
/** Where no answer is waited for in vain. */
const LONG_MS = 120_000;
const client = (port: number, attemptMs = LONG_MS): ResolverClient =>
  new ResolverClient({ clock: systemClock, port, attemptMs, deadlineMs: LONG_MS });
/** Where one is; the next one to be asked has to answer in that time. */
const hasty = (port: number): ResolverClient => client(port, 500 * patience);

t.test('a question is answered; each has a port and a spelling of its own', async (t) => {
  const server = await serve('127.0.0.1', 'any', good);
  for (let n = 0; n < 10; n += 1) {
    const { answer } = await client(server.port).ask(['127.0.0.1'], '', asking);
    t.same(answer.addresses, [IP]);
  }
  t.ok(server.ports.size > 5, `${server.ports.size} ports`);
  t.ok(server.names.size > 5, `${server.names.size} spellings`);
});

t.test('the resolver that was asked goes first, and the others follow', async (t) => {
  const first = await serve('127.0.0.1', 'any', good);
  const second = await serve('127.0.0.2', first.port, silent);
  const third = await serve('127.0.0.3', first.port, reply(0x8182));
  const servers = ['127.0.0.1', '127.0.0.2', '127.0.0.3'];
  t.match(await hasty(first.port).ask(servers, '127.0.0.2', asking), { server: '127.0.0.1' });
  t.equal(second.asked.length, 1, 'silence');
  t.match(await client(first.port).ask(servers, '127.0.0.3', asking), { server: '127.0.0.1' });
  t.equal(third.asked.length, 1, 'it failed');
});

t.test('what is cut, and what datagrams do not bring, comes by TCP', async (t) => {
  const cut = await serve('127.0.0.1', 'any', reply(0x8380), good);
  t.same((await client(cut.port).ask(['127.0.0.1'], '', asking)).answer.addresses, [IP]);
  t.same(cut.asked, ['datagram', 'tcp']);
  const deaf = await serve('127.0.0.2', 'any', silent, good);
  t.same((await hasty(deaf.port).ask(['127.0.0.2'], '', asking)).answer.addresses, [IP]);
  const always = await serve('127.0.0.3', 'any', reply(0x8380), reply(0x8380));
  await t.rejects(client(always.port).ask(['127.0.0.3'], '', asking), NoAnswer);
});

t.test('guesses are passed over, and too many end the attempt', async (t) => {
  const wrong = (question: Buffer): Buffer =>
    Buffer.concat([u16(question.readUInt16BE(0) ^ 1), good(question)[0]?.subarray(2) ?? ('' as never)]);
  const few = await serve('127.0.0.1', 'any', (question) => [
    wrong(question),
    Buffer.from('x'),
    ...good(question),
  ]);
  t.same((await client(few.port).ask(['127.0.0.1'], '', asking)).answer.addresses, [IP]);
  const lower = (question: Buffer): Buffer =>
    Buffer.from((good(question)[0] ?? Buffer.alloc(0)).toString('latin1').toLowerCase(), 'latin1');
  const spelt = await serve('127.0.0.2', 'any', (question) => [lower(question)]);
  await t.rejects(hasty(spelt.port).ask(['127.0.0.2'], '', asking), NoAnswer, 'the spelling is not repeated');
  const flood = await serve('127.0.0.3', 'any', (question) => [
    ...Array.from({ length: 100 }, () => wrong(question)),
    ...good(question),
  ]);
  await t.rejects(client(flood.port).ask(['127.0.0.3'], '', asking), NoAnswer);
});

t.test('failures are failures', async (t) => {
  const lying = await serve('127.0.0.1', 'any', reply(0x8180, record(pointer(QUESTION), 1, Buffer.alloc(3))));
  await t.rejects(
    client(lying.port).ask(['127.0.0.1'], '', asking),
    { name: 'NoAnswer' },
    'TCP was refused last',
  );
  const both = reply(0x8180, record(pointer(QUESTION), 1, Buffer.alloc(3)));
  const liar = await serve('127.0.0.2', 'any', both, both);
  await t.rejects(client(liar.port).ask(['127.0.0.2'], '', asking), ProtocolError);
  const unwilling = await serve('127.0.0.3', 'any', reply(0x8185));
  t.equal(
    (await client(unwilling.port).ask(['127.0.0.3'], '', asking)).answer.rcode,
    5,
    'the last word stands',
  );
  await t.rejects(client(1).ask([], '', asking), /no resolver to ask/);
  await t.rejects(hasty(liar.port).ask(['127.0.0.9'], '', asking), NoAnswer, 'nobody is there');
});
