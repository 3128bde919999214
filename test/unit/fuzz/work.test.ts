/** Hostile input costs work in proportion to its length, counted and not timed; and what is held of it is bounded. */
import t from 'tap';
import { ProtocolError } from '#src/core/protocol-error.ts';
import { FrameReader } from '#src/protocols/dns/frames.ts';
import { RequestHeadReader } from '#src/protocols/http1/request-head.ts';
import { classify } from '#src/protocols/postgres/classify.ts';
import { cellOf } from '#src/protocols/postgres/masking/cell.ts';
import { statementFacts } from '#src/protocols/postgres/masking/touch.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';
import { StartFilter } from '#src/protocols/postgres/start-filter.ts';
import { StartupReader } from '#src/protocols/postgres/startup.ts';
import { ClientHelloReader } from '#src/tls/client-hello.ts';
import { countWork } from '#test/fuzz/work.ts';
import { helloMessage, inRecords } from '#test/support/client-hello.ts';
import { CARDS, maskerOf } from '#test/support/masks.ts';
import { message, startupMessage } from '#test/support/postgres-packets.ts';

await loadParser();

/** Byte by byte, which is the dearest way to say something. */
function pushAll(reader: { push(chunk: Uint8Array): unknown }, bytes: Buffer): void {
  try {
    for (let at = 0; at < bytes.length; at += 1) reader.push(bytes.subarray(at, at + 1));
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  }
}

const times = (text: string, count: number): string => Array.from({ length: count }, () => text).join('');
const CELL = {
  masker: maskerOf(CARDS).column({ schema: '', table: '', column: '', type: null }),
  onHits: () => {},
};
const cell = (typeOid: number, text: string) => () =>
  void cellOf({ ...CELL, typeOid, format: 0 })?.whole(Buffer.from(text));
const sql = (text: string) => () => {
  classify(Buffer.from(text));
  statementFacts(Buffer.from(text));
};

const CASES: readonly (readonly [name: string, least: number, call: (size: number) => () => void])[] = [
  [
    'a start-up of many parameters',
    100,
    (n) => () =>
      pushAll(
        new StartupReader(),
        startupMessage(Object.fromEntries(Array.from({ length: n }, (_, i) => [`a${i}`, 'b']))),
      ),
  ],
  [
    'an authentication of many messages',
    100,
    (n) => () =>
      pushAll(
        new StartFilter({ keyFor: ({ key }) => Buffer.from(key).reverse() }),
        Buffer.concat(Array.from({ length: n }, () => message('N', Buffer.from('Mx\0\0')))),
      ),
  ],
  [
    'a head of many fields',
    50,
    (n) => () =>
      pushAll(
        new RequestHeadReader(),
        Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\n${times('x: y\r\n', n)}\r\n`),
      ),
  ],
  [
    'a head without end',
    500,
    (n) => () => pushAll(new RequestHeadReader(), Buffer.from(`GET /${times('a', n)}`)),
  ],
  [
    'a ClientHello in records of a byte',
    1,
    (n) => () =>
      pushAll(
        new ClientHelloReader(),
        inRecords(
          helloMessage({ sessionId: Buffer.alloc(32, 1), cipherSuites: Buffer.alloc(200 * n, 1) }),
          1,
        ),
      ),
  ],
  ['frames of nothing', 500, (n) => () => pushAll(new FrameReader('agent', 4_096), Buffer.alloc(2 * n))],
  ['nested arrays', 200, (n) => cell(1009, `${times('{', n)}4111111111111111${times('}', n)}`)],
  [
    'an array of cards',
    100,
    (n) => cell(1009, `{${Array.from({ length: n }, () => '"4111111111111111"').join(',')}}`),
  ],
  [
    'JSON of quotes and cards',
    100,
    (n) => cell(114, `[${Array.from({ length: n }, () => '"\\u0041 4111111111111111"').join(',')}]`),
  ],
  ['composites that never close', 200, (n) => cell(2249, times('("', n))],
  ['a value of anything that opens', 200, (n) => cell(20_000, times('{"(', n))],
  ['a list of values', 200, (n) => sql(`SELECT ${times('1,', n)}1`)],
  ['a condition of many parts', 100, (n) => sql(`DELETE FROM t WHERE ${times('a = a OR ', n)}true`)],
  [
    'many tables and columns',
    100,
    (n) =>
      sql(
        `SELECT ${Array.from({ length: n }, (_, i) => `c${i}`).join(',')} FROM ${Array.from({ length: n }, (_, i) => `t${i}`).join(',')}`,
      ),
  ],
  ['subqueries in each other', 10, (n) => sql(`${times('SELECT * FROM (', n)}SELECT 1${times(') x', n)}`)],
];

/** Eight times as much may cost twice as much for each as eight times the work, and no more. */
const TIMES = 8;

for (const [name, least, call] of CASES)
  t.test(name, async (t) => {
    call(least)();
    const [once, more] = [countWork(call(least)), countWork(call(least * TIMES))];
    t.ok(once > 0, 'it is counted');
    t.ok(more <= once * TIMES * 2, `${once} for ${least}, ${more} for ${least * TIMES}`);
  });
