/** Data of COPY … FROM STDIN: however it is cut into messages, and messages into chunks. */
import t from 'tap';
import { MaskEngine } from '#src/mask/engine.ts';
import type { CompiledMask } from '#src/policy/types.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';
import { READY, Requests, text } from '#test/support/masked-requests.ts';
import { CARDS, mask, SSN } from '#test/support/masks.ts';
import { message, uint32 } from '#test/support/postgres-packets.ts';
import { splitsOf } from '#test/support/splits.ts';

await loadParser();
const requests = (change: CompiledMask): CompiledMask => ({ ...change, direction: 'requests' });
const MASKS = {
  cards: requests(CARDS),
  ssn: requests(SSN),
  null: requests(mask({ detectors: ['card'], action: { kind: 'null' } })),
  hash: requests(mask({ detectors: ['card'], action: { kind: 'hash', key: 'k' } })),
};
type Masks = keyof typeof MASKS;
const engine = new MaskEngine({
  masks: Object.values(MASKS),
  detectors: [],
  maskKeys: [{ name: 'k', secret: 'only for tests, and long enough' }],
});
const HASH = engine.keys.text('k', Buffer.from('4111111111111111'));
const CARD = '4111111111111111';
const MASKED = '************1111';

const int16 = (value: number): Buffer => Buffer.from([(value >> 8) & 0xff, value & 0xff]);
const query = (sql: string): Buffer => message('Q', text(sql));
const data = (content: Uint8Array): Buffer => message('d', content);
const begins = (isBinary: boolean, count: number): Buffer =>
  message('G', Buffer.from([isBinary ? 1 : 0]), int16(count), Buffer.alloc(2 * count));
const done = message('c');
const failure = message('E', text('MX'), Buffer.alloc(1));
const complete = message('C', text('COPY 1'));

const HEAD = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)]);
const row = (...fields: (Buffer | string | null)[]): Buffer =>
  Buffer.concat([
    int16(fields.length),
    ...fields.flatMap((each) =>
      each === null ? [uint32(0xffff_ffff)] : [uint32(each.length), Buffer.from(each)],
    ),
  ]);
const END = int16(-1);
const int8 = Buffer.alloc(8);
int8.writeBigInt64BE(4111111111111111n);
const binary = (...rows: Buffer[]): Buffer => Buffer.concat([HEAD, ...rows, END]);

/** What is in messages of COPY data, put together, and the types of all others. */
function contentOf(bytes: Buffer): { content: Buffer; others: string } {
  const parts: Buffer[] = [];
  let others = '';
  for (let at = 0; at < bytes.length; at += 1 + bytes.readUInt32BE(at + 1)) {
    const type = String.fromCharCode(bytes[at] ?? 0);
    if (type === 'd') parts.push(bytes.subarray(at + 5, at + 1 + bytes.readUInt32BE(at + 1)));
    else others += type;
  }
  return { content: Buffer.concat(parts), others };
}

const COPY = 'copy people (id, ssn, note) from stdin';
interface Case {
  readonly name: string;
  readonly masks?: Masks;
  readonly options?: string;
  readonly came: string | Buffer;
  readonly gone?: string | Buffer;
}
const CSV = '(format csv)';
const BINARY = '(format binary)';
const CASES: readonly Case[] = [
  { name: 'a field', came: `1\ta\tpaid ${CARD}\n`, gone: `1\ta\tpaid ${MASKED}\n` },
  { name: 'none', came: '1\ta\tpaid\n2\t\\N\t\n' },
  {
    name: 'many rows',
    came: `${`1\ta\t${CARD}\n2\tb\tx\n`.repeat(300)}`,
    gone: `${`1\ta\t${MASKED}\n2\tb\tx\n`.repeat(300)}`,
  },
  { name: 'escaped by numbers', came: '1\ta\t\\x34111\\0611111111111\\x31\n', gone: `1\ta\t${MASKED}\n` },
  { name: 'beside an escape', came: `1\ta\t\\t${CARD}\\\\\n`, gone: `1\ta\t\\t${MASKED}\\\\\n` },
  { name: 'an escaped end of a line', came: `1\ta\tx\\\n${CARD}\n`, gone: `1\ta\tx\\n${MASKED}\n` },
  {
    name: 'escaped ends of lines behind other rows',
    masks: 'ssn',
    came: '1\ta\tx\n2\tb\ty\\\nz\ta\n3\tc\td\\\\\n4\te\\\\\\\nf\tg\n',
    gone: '1\t********\tx\n2\t********\ty\\\nz\ta\n3\t********\td\\\\\n4\t********\tg\n',
  },
  {
    name: 'CSV of many rows, some of them with quotes',
    masks: 'ssn',
    options: CSV,
    came: '1,a,x\r\n2,"b\nb",y\r\n3,c,z\r\n\\.\r\n',
    gone: '1,"********",x\r\n2,"********",y\r\n3,"********",z\r\n\\.\r\n',
  },
  {
    name: 'numbers that are not written by their digits, and others',
    came: `1.5\t2026-01-01\t4111_1111_1111_1111\n1.0\t3e2f\t${CARD}.00\n+7\t-.5\t+4.111111111111111e15\n`,
    gone: '1.5\t2026-01-01\t\\N\n1.0\t3e2f\t\\N\n+7\t-.5\t\\N\n',
  },
  { name: 'no end in the last line', came: `1\ta\t${CARD}`, gone: `1\ta\t${MASKED}` },
  { name: 'lines of CR LF', came: `1\ta\t${CARD}\r\n2\tb\tx\r\n`, gone: `1\ta\t${MASKED}\r\n2\tb\tx\r\n` },
  {
    name: 'lines of CR',
    came: `1\ta\t${CARD}\r2\tb\tx\r3\tc\t${CARD}\r`,
    gone: `1\ta\t${MASKED}\r2\tb\tx\r3\tc\t${MASKED}\r`,
  },
  { name: 'the end of the data as it was', came: `1\ta\t${CARD}\n\\.\n`, gone: `1\ta\t${MASKED}\n\\.\n` },
  {
    name: 'another delimiter',
    options: "(delimiter '|', null 'none')",
    came: `1|none|${CARD}\n`,
    gone: `1|none|${MASKED}\n`,
  },
  {
    name: 'a delimiter that is a digit',
    options: "(format csv, delimiter '5')",
    came: `15a5${CARD}\n`,
    gone: `15a5"${MASKED}"\n`,
  },
  {
    name: 'a value that would be NULL elsewhere',
    masks: 'ssn',
    options: "(format csv, null '078-05-1120', force_not_null (ssn))",
    came: '1,078-05-1120,x\n',
    gone: '1,"********",x\n',
  },
  { name: 'null', masks: 'null', came: `1\ta\t${CARD}\n`, gone: '1\ta\t\\N\n' },
  {
    name: 'null by another word',
    masks: 'null',
    options: "(null 'none')",
    came: `1\ta\t${CARD}\n`,
    gone: '1\ta\tnone\n',
  },
  { name: 'hash', masks: 'hash', came: '1\ta\t4111 1111 1111 1111\n', gone: `1\ta\t${HASH}\n` },
  {
    name: 'a column',
    masks: 'ssn',
    came: '1\t078-05-1120\tx\n2\t\\N\ty\n',
    gone: '1\t********\tx\n2\t\\N\ty\n',
  },
  { name: 'json', came: `1\ta\t{"c": "\\\\u0034111111111111111"}\n`, gone: `1\ta\t{"c": "${MASKED}"}\n` },
  {
    name: 'bytea',
    came: `1\ta\t\\\\x${Buffer.from(CARD).toString('hex')}\n`,
    gone: `1\ta\t\\\\x${Buffer.from(MASKED).toString('hex')}\n`,
  },
  { name: 'CSV', options: CSV, came: `1,a,paid ${CARD}\n`, gone: `1,a,"paid ${MASKED}"\n` },
  {
    name: 'CSV with quotes',
    options: CSV,
    came: `1,a,"say ""${CARD}"""\n`,
    gone: `1,a,"say ""${MASKED}"""\n`,
  },
  {
    name: 'CSV with lines',
    options: CSV,
    came: `1,a,"x\n${CARD}\r\ny"\n2,b,z\n`,
    gone: `1,a,"x\n${MASKED}\r\ny"\n2,b,z\n`,
  },
  {
    name: 'CSV with other quotes',
    options: "(format csv, quote '''', escape '\\')",
    came: `1,a,'it\\'s ${CARD}'\n`,
    gone: `1,a,'it\\'s ${MASKED}'\n`,
  },
  {
    name: 'CSV in which a quote parts a card',
    options: CSV,
    came: '1,a,4111"1111"11111111\n',
    gone: `1,a,"${MASKED}"\n`,
  },
  {
    name: 'CSV with a header',
    options: '(format csv, header)',
    came: `id,ssn,note\n1,a,${CARD}\n`,
    gone: `id,ssn,note\n1,a,"${MASKED}"\n`,
  },
  { name: 'a column of CSV', masks: 'ssn', options: CSV, came: '1,"0,78",x\n', gone: '1,"********",x\n' },
  {
    name: 'binary',
    options: BINARY,
    came: binary(row(uint32(1), null, CARD)),
    gone: binary(row(uint32(1), null, MASKED)),
  },
  {
    name: 'binary of numbers',
    options: BINARY,
    came: binary(row(int8, 'a', 'b'), row(uint32(1), 'a', 'b')),
    gone: binary(row(null, 'a', 'b'), row(uint32(1), 'a', 'b')),
  },
  { name: 'binary without', options: BINARY, came: binary(row(uint32(1), 'a', 'b')) },
  {
    name: 'a column of binary',
    masks: 'ssn',
    options: BINARY,
    came: binary(row(uint32(1), 'a', 'b')),
    gone: binary(row(uint32(1), '********', 'b')),
  },
  {
    name: 'hash in binary',
    masks: 'hash',
    options: BINARY,
    came: binary(row(uint32(1), 'a', CARD)),
    gone: binary(row(uint32(1), 'a', HASH)),
  },
  {
    name: 'behind the end of binary',
    options: BINARY,
    came: Buffer.concat([binary(), Buffer.from(CARD)]),
    gone: binary(),
  },
];

function started(masks: Masks, sql: string, isBinary: boolean): Requests {
  const session = new Requests(engine, [MASKS[masks]]);
  session.toServer(query(sql));
  session.toAgent(begins(isBinary, 3));
  return session;
}

t.test('named cases', async (t) => {
  t.equal(new Set(CASES.map(({ name }) => name)).size, CASES.length);
  for (const { name, masks = 'cards', options = '', came, gone = came } of CASES) {
    await t.test(name, async (t) => {
      const content = Buffer.from(came);
      const rests = [...splitsOf(content, 4, 3)];
      for (const cut of rests) {
        // Messages byte by byte, each in chunks byte by byte, would be tried too often.
        const bytes = Buffer.concat([...cut.chunks.map(data), done]);
        for (const split of splitsOf(bytes, 1).slice(cut.name === 'byte by byte' ? 2 : 0)) {
          const session = started(masks, `${COPY} ${options}`, options.includes('binary'));
          const { content: out, others } = contentOf(session.toServer(...split.chunks));
          t.equal(out.toString('latin1'), Buffer.from(gone).toString('latin1'), `${cut.name}, ${split.name}`);
          t.equal(others, 'c');
          t.equal(session.masked > 0, gone !== came && name !== 'behind the end of binary');
          t.equal(session.toAgent(complete, READY).length, complete.length + READY.length);
        }
      }
    });
  }
});

t.test('rows too long to be held', async (t) => {
  const long = 'x'.repeat(1_200_000);
  const cases: [string, Buffer, Buffer][] = [
    [
      '',
      Buffer.from(`1\ta\t${long} ${CARD}\n2\tb\t${CARD}\n`),
      Buffer.from(`1\ta\t${long} ${MASKED}\n2\tb\t${MASKED}\n`),
    ],
    [CSV, Buffer.from(`1,a,"${long}\n${CARD}"\n2,b,z\n`), Buffer.from(`1,a,"${long}\n${MASKED}"\n2,b,z\n`)],
    [
      BINARY,
      binary(row('1', 'a', `${long} ${CARD}`), row('2', CARD, 'b')),
      binary(row('1', 'a', `${long} ${MASKED}`), row('2', MASKED, 'b')),
    ],
  ];
  for (const [options, came, gone] of cases) {
    for (const size of [came.length, 65_536, 30_011]) {
      const session = started('cards', `${COPY} ${options}`, options === BINARY);
      const messages: Buffer[] = [];
      for (let at = 0; at < came.length; at += size) messages.push(data(came.subarray(at, at + size)));
      const bytes = Buffer.concat([...messages, done]);
      const out: Buffer[] = [];
      for (let at = 0; at < bytes.length; at += 65_000)
        out.push(session.toServer(bytes.subarray(at, at + 65_000)));
      const { content } = contentOf(Buffer.concat(out));
      t.equal(content.length, gone.length, `${options} ${size}`);
      t.ok(content.equals(gone), `${options} ${size}`);
    }
  }
});

t.test('data that cannot be masked fails the COPY and not the session', async (t) => {
  const long = `1\ta\t${'x'.repeat(1_200_000)} \\x34111111111111111\n`;
  const cases: [string, string | Buffer][] = [
    ['', long],
    [CSV, '1,a,"never closed'],
    [BINARY, `no signature ${CARD}`.padEnd(100)],
    [BINARY, Buffer.concat([HEAD, row('a', 'b', CARD).subarray(0, 20)])],
  ];
  for (const [options, came] of cases) {
    const session = started('cards', `${COPY} ${options}`, options === BINARY);
    const out = contentOf(session.toServer(data(Buffer.from(came)), done));
    t.notOk(out.content.includes('4111'), options);
    t.match(out.others, /^fc?$/);
    session.toAgent(failure, READY);
    t.match(session.toServer(query(`select '${CARD}'`)).toString(), MASKED);
  }
});

t.test('data the server does not look at is not sent', async (t) => {
  const session = started('cards', COPY, false);
  session.toServer(data(Buffer.from('1\ta\tb\n')));
  session.toAgent(failure);
  t.equal(session.toServer(data(Buffer.from(`2\ta\t${CARD}\n`))).length, 0, 'it has refused the COPY');
  session.toAgent(READY);
  t.ok(session.toServer(done).equals(done));
  t.equal(session.toServer(data(Buffer.from(CARD))).length, 0, 'there is no COPY');
});

t.test('data that comes before the server asks for it', async (t) => {
  const session = new Requests(engine, [MASKS.cards]);
  const came = data(Buffer.from(`1\ta\t${CARD}\n`));
  const gone = data(Buffer.from(`1\ta\t${MASKED}\n`));
  t.ok(session.toServer(query(COPY), came, done).includes(gone));
  session.toAgent(begins(false, 3), complete, READY);
  t.ok(session.toServer(query(COPY)).length > 0);
  session.toAgent(begins(false, 3));
  t.ok(session.toServer(came, done).includes(gone), 'the next one');
  const another = new Requests(engine, [MASKS.cards]);
  another.toServer(query('select 1'), query(COPY));
  t.throws(() => another.toServer(came), /data of a COPY that is not known yet/);
});

t.test('two in one text, each by its own form', async (t) => {
  const session = new Requests(engine, [MASKS.ssn]);
  session.toServer(query('copy people (ssn) from stdin; copy people (id, ssn) from stdin (format csv)'));
  session.toAgent(begins(false, 1));
  t.equal(contentOf(session.toServer(data(Buffer.from('a,b\n')), done)).content.toString(), '********\n');
  session.toAgent(complete, begins(false, 2));
  t.equal(contentOf(session.toServer(data(Buffer.from('1,b\n')), done)).content.toString(), '1,"********"\n');
});

t.test('why an agent gives up is masked', async (t) => {
  const session = started('cards', COPY, false);
  t.ok(session.toServer(message('f', text(`at ${CARD}`))).equals(message('f', text(`at ${MASKED}`))));
});
