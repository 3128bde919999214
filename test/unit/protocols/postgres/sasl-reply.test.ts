import t from 'tap';
import { SaslReply } from '#src/protocols/postgres/sasl-reply.ts';
import { message, startupMessage, uint32 } from '#test/support/postgres-packets.ts';
import { splitsOf } from '#test/support/splits.ts';

const STARTUP = startupMessage({ user: 'app' });
const PASSWORD = message('p', Buffer.from('y,,secret\0'));

function reply(flag: string, mechanism = 'SCRAM-SHA-256'): Buffer {
  const data = Buffer.from(`${flag},,n=,r=nonce`);
  return message('p', Buffer.from(`${mechanism}\0`), uint32(data.length), data);
}

interface Read {
  readonly sent: Buffer;
  readonly told: string;
}

function readAll(chunks: readonly Buffer[], isOffered: boolean): Read {
  const reader = new SaslReply({ startupBytes: STARTUP.length, isOffered: () => isOffered });
  const sent: Uint8Array[] = [];
  const told: Uint8Array[] = [];
  for (const chunk of chunks) {
    sent.push(...reader.push(chunk).map((part) => Buffer.from(part)));
    told.push(...reader.refusal());
  }
  return { sent: Buffer.concat(sent), told: Buffer.concat(told).toString('latin1') };
}

t.test('a client that could bind to a channel is told what to do, and the server nothing', async (t) => {
  for (const { name, chunks } of splitsOf(Buffer.concat([STARTUP, reply('y')]), 10)) {
    const { sent, told } = readAll(chunks, true);
    t.same(sent, STARTUP, name);
    t.match(told, /^E[\s\S]*SFATAL\0VFATAL\0C28000\0MSluice: [^\0]*\0HTurn channel binding off/, name);
  }
});

t.test('all else passes', async (t) => {
  const cases = [
    [STARTUP, reply('n'), message('p', Buffer.from('y,,'))],
    [STARTUP, reply('p=tls-server-end-point', 'SCRAM-SHA-256-PLUS')],
    [STARTUP, message('p'), reply('y')],
    [STARTUP, message('p', Buffer.from('SCRAM-SHA-256\0'))],
    [STARTUP, message('p', Buffer.alloc(5_000, 0x79)), message('X')],
  ];
  for (const bytes of cases.map((each) => Buffer.concat(each))) {
    for (const { name, chunks } of splitsOf(bytes, 5))
      t.same(readAll(chunks, true), { sent: bytes, told: '' }, name);
  }
  for (const bytes of [reply('y'), PASSWORD].map((each) => Buffer.concat([STARTUP, each])))
    t.same(readAll([bytes], false), { sent: bytes, told: '' }, 'where nothing was taken out of the offer');
});
