import t from 'tap';
import { Judge } from '#test/support/bypass/judge.ts';
import type { Said, Tried, Verdict } from '#test/support/bypass/types.ts';
import type { Packet } from '#test/support/pcap.ts';

const CANARY = 'CANARY-X-1-END';
const ADDRESS = '10.200.0.1';
const TLS_PORT = 7005;

const packet = (change: Partial<Packet>): Packet => ({
  transport: 'tcp',
  src: '10.198.1.1',
  srcPort: 40_000,
  dst: ADDRESS,
  dstPort: TLS_PORT,
  seq: 1,
  syn: false,
  ack: true,
  rst: false,
  payload: Buffer.from('x'),
  ...change,
});

const tried = (said: Said, change: Partial<Tried> = {}): Tried => ({
  row: { name: 'way', title: 'a way' },
  who: 'root',
  family: '4',
  address: ADDRESS,
  canary: CANARY,
  times: 1,
  stolen: false,
  said,
  ...change,
});

const SENT: Said = { said: 'sent', note: 'answered' };
const EPERM: Said = { said: 'refused', step: 'connect', errno: 'EPERM' };

interface Seen {
  readonly packets?: readonly Packet[];
  readonly raw?: string;
  readonly delivered?: string;
}

const verdict = (seen: Seen, one: Tried): Verdict =>
  new Judge({
    packets: seen.packets ?? [],
    raw: Buffer.from(seen.raw ?? ''),
    delivered: Buffer.from(seen.delivered ?? ''),
    tlsPort: TLS_PORT,
  }).judge(one).verdict;

const proxied = packet({});

t.test('what arrived by way of the proxy is redirected', async (t) => {
  t.equal(verdict({ packets: [proxied], delivered: `..${CANARY}..` }, tried(SENT)), 'redirected');
  t.equal(verdict({ packets: [proxied] }, tried(SENT)), 'dropped', 'a claim of the program is not enough');
  t.equal(verdict({ delivered: CANARY }, tried(EPERM)), 'redirected', 'whatever the program says');
});

t.test('plain bytes are open, wherever they are in the capture and whatever else arrived', async (t) => {
  const seen = { packets: [proxied], delivered: CANARY, raw: `frame ${CANARY}` };
  for (const said of [SENT, EPERM, { said: 'not run', why: 'no' } as const])
    t.equal(verdict(seen, tried(said)), 'open', said.said);
});

t.test('a packet past the proxy is open, be it empty or an answer', async (t) => {
  for (const stray of [
    packet({ dstPort: 7004, payload: Buffer.alloc(0), syn: true }),
    packet({ transport: 'udp' }),
    packet({ transport: 'other', dstPort: 0 }),
    packet({ src: ADDRESS, srcPort: 7004, dst: '10.198.1.1', dstPort: 40_000, rst: true }),
  ])
    t.equal(verdict({ packets: [stray] }, tried(EPERM)), 'open', JSON.stringify(stray));
  t.equal(
    verdict({ packets: [packet({ dstPort: 7004 })] }, tried(EPERM, { address: `::ffff:${ADDRESS}` })),
    'open',
  );
  t.equal(verdict({ packets: [packet({ dst: '10.200.0.2', dstPort: 7004 })] }, tried(EPERM)), 'refused');
  const answer = packet({ src: ADDRESS, srcPort: TLS_PORT, dst: '10.198.1.1', dstPort: 40_000 });
  t.equal(
    verdict({ packets: [answer] }, tried(EPERM)),
    'refused',
    "the server's answer to the proxy is none",
  );
});

t.test('a socket that was handed out, and bytes that somebody else has, are open', async (t) => {
  t.equal(verdict({}, tried({ said: 'given', note: '' })), 'open');
  t.equal(verdict({}, tried(EPERM, { stolen: true })), 'open');
});

t.test('no answer is dropped, an error refused', async (t) => {
  t.equal(verdict({}, tried({ said: 'refused', step: 'connect', errno: 'ETIMEDOUT' })), 'dropped');
  t.equal(verdict({}, tried(EPERM)), 'refused');
  t.equal(verdict({}, tried({ said: 'not run', why: 'no SCTP' })), 'not run');
});

t.test('what could not be tried has no answer, unless something was seen', async (t) => {
  const went = { said: 'failed', why: 'the daemon ended' } as const;
  t.equal(verdict({}, tried(went)), 'failed');
  t.equal(verdict({ raw: CANARY }, tried(went)), 'open');
});

t.test('a crowd is redirected when all were, held when all are accounted for, else open', async (t) => {
  const tally = (answered: number, refused: number, lost: number): Tried =>
    tried({ said: 'tally', answered, refused, lost }, { times: 10 });
  t.equal(verdict({}, tally(10, 0, 0)), 'redirected');
  t.equal(verdict({}, tally(7, 2, 1)), 'held');
  t.equal(verdict({}, tally(7, 1, 1)), 'open');
  t.equal(verdict({ raw: `${CANARY}:3;` }, tally(10, 0, 0)), 'open');
});

t.test('of what somebody else has opened, the bytes alone tell', async (t) => {
  const row = { name: 'inherited', title: 'a way', openedOutside: true };
  const handshake = packet({ dstPort: 7004, payload: Buffer.alloc(0), syn: true });
  t.equal(verdict({ packets: [handshake] }, tried(EPERM, { row })), 'refused');
  t.equal(verdict({ packets: [handshake], raw: CANARY }, tried(SENT, { row })), 'open');
});
