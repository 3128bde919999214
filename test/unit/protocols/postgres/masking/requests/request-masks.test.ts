/** Values beside statements: parameters, arguments of functions, data of COPY, what a session begins with. By name, whatever the chunks. */
import t, { type Test } from 'tap';
import { ProtocolError } from '#src/core/protocol-error.ts';
import { MaskEngine } from '#src/mask/engine.ts';
import { makeMasker } from '#src/mask/mask-set.ts';
import type { CompiledMask } from '#src/policy/types.ts';
import { maskStartup } from '#src/protocols/postgres/masking/requests/startup.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';
import { READY, Requests, text } from '#test/support/masked-requests.ts';
import { CARDS, mask, SSN } from '#test/support/masks.ts';
import { message, startupMessage, uint32 } from '#test/support/postgres-packets.ts';
import { mutate, seededRandom, splitsOf, wipe } from '#test/support/splits.ts';

await loadParser();
const of = (change: Partial<CompiledMask>): CompiledMask =>
  mask({ detectors: ['card'], ...change, direction: 'requests' });
const MASKS = {
  cards: [of(CARDS)],
  ssn: [of(SSN)],
  both: [of(CARDS), of(SSN)],
  hash: [of({ action: { kind: 'hash', key: 'k' } })],
  null: [of({ action: { kind: 'null' } })],
  drop: [of({ action: { kind: 'drop' } })],
  watch: [of({ effect: 'observe' })],
} as const;
type Masks = keyof typeof MASKS;
const engine = new MaskEngine({
  masks: Object.values(MASKS).flat(),
  detectors: [],
  maskKeys: [{ name: 'k', secret: 'only for tests, and long enough' }],
});
const HASH = engine.keys.text('k', Buffer.from('4111111111111111'));
const CARD = '4111111111111111';
const MASKED = '************1111';

const int16 = (value: number): Buffer => Buffer.from([(value >> 8) & 0xff, value & 0xff]);
const int8 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
};
const sized = (bytes: Buffer | null): Buffer =>
  bytes === null ? uint32(0xffff_ffff) : Buffer.concat([uint32(bytes.length), bytes]);
type Value = string | Buffer | null;
const bytesOf = (value: Value): Buffer | null => (typeof value === 'string' ? Buffer.from(value) : value);
const sync = message('S');
const query = (sql: string): Buffer => message('Q', text(sql));
const execute = message('E', text(''), uint32(0));
const parse = (sql: string, types: readonly number[] = [], name = ''): Buffer =>
  message('P', text(name), text(sql), int16(types.length), ...types.map(uint32));
const bind = (values: readonly Value[], formats: readonly number[] = [], name = ''): Buffer =>
  message(
    'B',
    text(''),
    text(name),
    int16(formats.length),
    ...formats.map(int16),
    int16(values.length),
    ...values.map((value) => sized(bytesOf(value))),
    int16(0),
  );
const described = (...types: number[]): Buffer => message('t', int16(types.length), ...types.map(uint32));
const numeric = Buffer.concat([4, 3, 0, 0, 4111, 1111, 1111, 1111].map(int16));
const array = (elementOid: number, ...elements: (Buffer | null)[]): Buffer =>
  Buffer.concat([
    uint32(1),
    uint32(elements.includes(null) ? 1 : 0),
    uint32(elementOid),
    uint32(elements.length),
    uint32(1),
    ...elements.map(sized),
  ]);
const jsonb = (json: string): Buffer => Buffer.from(`\x01${json}`);

const TEXT = 25;
const INT8 = 20;
/** Of which nothing is looked at in binary. */
const BOOL = 16;
const SQL = 'select $1';

interface BindCase {
  readonly name: string;
  readonly masks?: Masks;
  readonly sql?: string;
  readonly type?: number;
  readonly format?: 0 | 1;
  readonly came: Value;
  /** Undefined: as it came. */
  readonly gone?: Value;
}

const BINDS: readonly BindCase[] = [
  { name: 'text', type: TEXT, came: `paid ${CARD}`, gone: `paid ${MASKED}` },
  { name: 'text in binary', type: TEXT, format: 1, came: CARD, gone: MASKED },
  { name: 'text without', type: TEXT, came: 'paid' },
  { name: 'NULL', type: TEXT, came: null },
  { name: 'nothing', type: TEXT, came: '' },
  { name: 'text of no type', came: CARD, gone: MASKED },
  { name: 'a word of no type', came: 'paid' },
  { name: 'a number', type: INT8, came: CARD, gone: null },
  { name: 'a number in binary', type: INT8, format: 1, came: int8(4111111111111111n), gone: null },
  { name: 'another number in binary', type: INT8, format: 1, came: int8(4111111111111112n) },
  { name: 'numeric in binary', type: 1700, format: 1, came: numeric, gone: null },
  { name: 'a number that the statement says is one', sql: 'select $1::int8', came: CARD, gone: null },
  { name: 'text that the statement says is one', sql: 'select $1::text', came: CARD, gone: MASKED },
  { name: 'a number of no type in binary', format: 1, came: int8(4111111111111111n), gone: null },
  { name: 'numeric of no type in binary', format: 1, came: numeric, gone: null },
  { name: 'text of no type in binary', format: 1, came: CARD, gone: MASKED },
  { name: 'bytes of no type', format: 1, came: Buffer.from([0, 1, 2]) },
  { name: 'bytes of no type with a card', format: 1, came: Buffer.from(`\0 ${CARD}`), gone: null },
  { name: 'bytea', type: 17, format: 1, came: Buffer.from(`\0 ${CARD}`), gone: `\0 ${MASKED}` },
  ...[17, 0].map((type) => ({
    name: `bytea as text, in capitals and with blanks, of type ${type}`,
    type,
    came: `\\x ${Buffer.from(`No: ${CARD}`).toString('hex').toUpperCase().replaceAll(/../g, '$& \n')}`,
    gone: `\\x${Buffer.from(`No: ${MASKED}`).toString('hex')}`,
  })),
  { name: 'bytea that is none', type: 17, came: `\\x ${CARD} z`, gone: `\\x ${MASKED} z` },
  { name: 'jsonb', type: 3802, came: `{"a": "${CARD}"}`, gone: `{"a": "${MASKED}"}` },
  {
    name: 'jsonb with escapes',
    type: 3802,
    came: '{"a": "\\u0034111111111111111"}',
    gone: `{"a": "${MASKED}"}`,
  },
  {
    name: 'jsonb in binary',
    type: 3802,
    format: 1,
    came: jsonb(`{"a": ${CARD}}`),
    gone: jsonb('{"a": null}'),
  },
  { name: 'json of no type', came: `{"a": "${CARD}"}`, gone: `{"a": "${MASKED}"}` },
  { name: 'an array', type: 1009, came: `{x,"${CARD}"}`, gone: `{x,"${MASKED}"}` },
  { name: 'an array of no type with a number', came: `{x,${CARD}}`, gone: `{x,"${MASKED}"}` },
  { name: 'an array of no type', came: `{x,"a ${CARD}"}`, gone: `{x,"a ${MASKED}"}` },
  {
    name: 'an array in binary',
    type: 1009,
    format: 1,
    came: array(TEXT, Buffer.from(CARD), Buffer.from('x')),
    gone: array(TEXT, Buffer.from(MASKED), Buffer.from('x')),
  },
  {
    name: 'an array of numbers in binary',
    type: 1016,
    format: 1,
    came: array(INT8, int8(4111111111111111n), int8(1n)),
    gone: array(INT8, null, int8(1n)),
  },
  {
    name: 'an array of no type in binary',
    format: 1,
    came: array(TEXT, Buffer.from(CARD)),
    gone: array(TEXT, Buffer.from(MASKED)),
  },
  { name: 'an enum', type: 99_999, came: 'happy' },
  { name: 'a boolean', type: 16, format: 1, came: Buffer.from([1]) },
  { name: 'null', masks: 'null', type: TEXT, came: `a ${CARD}`, gone: null },
  { name: 'drop', masks: 'drop', type: TEXT, came: `a ${CARD} b`, gone: 'a  b' },
  { name: 'hash', masks: 'hash', type: TEXT, came: `a ${CARD}`, gone: `a ${HASH}` },
  { name: 'hash of no type', masks: 'hash', came: '4111-1111-1111-1111', gone: HASH },
  { name: 'only observed', masks: 'watch', type: INT8, came: CARD },
  {
    name: 'inserted',
    masks: 'ssn',
    sql: 'insert into people (id, ssn) values (1, $1)',
    came: 'a',
    gone: '********',
  },
  {
    name: 'inserted elsewhere',
    masks: 'ssn',
    sql: 'insert into people (id, name) values (1, $1)',
    came: 'a',
  },
  {
    name: 'inserted as a number',
    masks: 'ssn',
    sql: 'insert into people (ssn) values ($1)',
    type: INT8,
    came: '7',
    gone: null,
  },
  {
    name: 'inserted as binary of no type',
    masks: 'ssn',
    sql: 'insert into people (ssn) values ($1)',
    format: 1,
    came: int8(7n),
    gone: null,
  },
  { name: 'set', masks: 'ssn', sql: 'update people set ssn = upper($1)', came: 'a', gone: '********' },
  { name: 'compared', masks: 'ssn', sql: 'select * from people where ssn = $1', came: 'a', gone: '********' },
  { name: 'compared with another', masks: 'ssn', sql: 'select * from people where id = $1', came: '7' },
  {
    name: 'any',
    masks: 'ssn',
    sql: 'select * from people where ssn = any ($1)',
    type: 1009,
    came: '{a,b}',
    gone: '{"********","********"}',
  },
  ...([undefined, 1009] as const).flatMap((type): BindCase[] => [
    {
      name: `an array that is inserted by unnest, ${type}`,
      masks: 'ssn',
      sql: 'insert into people (ssn, id) select * from unnest($1::text[], $2::int[])',
      ...(type === undefined ? {} : { type }),
      came: '{a,NULL,"b c"}',
      gone: '{"********",NULL,"********"}',
    },
    {
      name: `an array in binary that is inserted by unnest, ${type}`,
      masks: 'ssn',
      sql: 'insert into people (ssn, id) select s, i from unnest($1::text[], $2::int[]) as u (s, i)',
      ...(type === undefined ? {} : { type }),
      format: 1,
      came: array(TEXT, Buffer.from('a'), null),
      gone: array(TEXT, Buffer.from('********'), null),
    },
  ]),
  {
    name: 'numbers in binary that are inserted by unnest',
    masks: 'ssn',
    sql: 'insert into people (ssn) select unnest($1::int8[])',
    format: 1,
    came: array(INT8, int8(7n)),
    gone: array(INT8, null),
  },
  {
    name: 'the array beside it',
    masks: 'ssn',
    sql: 'insert into people (id, ssn) select * from unnest($1::int[], $2::text[])',
    came: '{1,2}',
  },
  ...[
    'insert into people (id, ssn) select 1, $1',
    'insert into people (id, ssn) select i, s from (values (1, $1)) v (i, s)',
    'with v (s) as (values ($1)) insert into people (ssn) select s from v',
    "insert into people (ssn) select 'a' union all select $1",
    'update people set ssn = v.s from (values ($1, 1)) v (s, i) where id = v.i',
    'merge into people using (values (1, $1)) v (i, s) on id = i when matched then update set ssn = s',
    'insert into people (id, name) values (1, $1) on conflict (id) do update set ssn = excluded.name',
    'select id from people join (values ($1)) v (s) on v.s = ssn',
    'prepare p as insert into people (ssn) values ($1)',
  ].map((sql): BindCase => ({ name: sql, masks: 'ssn', sql, came: 'a', gone: '********' })),
];

/** What gets to the server, the same whole and in pieces. */
function sent(
  masks: Masks,
  before: readonly Buffer[],
  bytes: Buffer,
  t: Test,
): { bytes: Buffer; requests: Requests } {
  const first = new Requests(engine, MASKS[masks]);
  first.toServer(...before);
  const whole = first.toServer(Buffer.from(bytes));
  for (const split of splitsOf(bytes, 3)) {
    const requests = new Requests(engine, MASKS[masks]);
    requests.toServer(...before);
    const out = split.chunks.map((chunk) => {
      const part = requests.toServer(chunk);
      wipe(chunk);
      return part;
    });
    t.ok(Buffer.concat(out).equals(whole), split.name);
  }
  return { bytes: whole, requests: first };
}

t.test('parameters', async (t) => {
  t.equal(new Set(BINDS.map(({ name }) => name)).size, BINDS.length);
  for (const { name, masks = 'cards', sql = SQL, type, format = 0, came, gone = came } of BINDS) {
    await t.test(name, async (t) => {
      const before = [parse(sql, type === undefined ? [] : [type])];
      const { bytes, requests } = sent(
        masks,
        before,
        Buffer.concat([bind([came], [format]), execute, sync]),
        t,
      );
      t.equal(
        bytes.toString('latin1'),
        Buffer.concat([bind([gone], [format]), execute, sync]).toString('latin1'),
      );
      t.equal(requests.masked > 0, gone !== came);
      t.equal(requests.observed, masks === 'watch' ? 1 : 0);
    });
  }
});

t.test('each of several parameters by its own format and type', async (t) => {
  const before = [parse('select $1, $2, $3', [INT8, TEXT])];
  const came = bind([int8(4111111111111111n), CARD, CARD], [1, 0, 0]);
  const { bytes } = sent('cards', before, came, t);
  t.ok(bytes.equals(bind([null, MASKED, MASKED], [1, 0, 0])));
  const one = sent('cards', before, bind([int8(4111111111111111n), CARD], [1]), t);
  t.ok(one.bytes.equals(bind([null, MASKED], [1])), 'one format for all');
});

t.test('types the server has said', async (t) => {
  const requests = new Requests(engine, MASKS.cards);
  requests.toServer(parse(SQL, [], 's'), message('D', text('Ss')), sync);
  requests.toAgent(message('1'), described(3802), message('n'), READY);
  const came = bind([jsonb(`{"a": "${CARD}"}`)], [1], 's');
  t.ok(requests.toServer(came).equals(bind([jsonb(`{"a": "${MASKED}"}`)], [1], 's')));
});

t.test('a name that may mean two things is taken for neither', async (t) => {
  const requests = new Requests(engine, MASKS.cards);
  requests.toServer(parse(SQL, [BOOL]), sync);
  requests.toAgent(message('1'), READY);
  // The server may have skipped the second.
  requests.toServer(parse(SQL, [INT8]), sync);
  const card = bind([int8(4111111111111111n)], [1]);
  t.ok(requests.toServer(card).equals(bind([null], [1])));
});

t.test('a statement nobody has seen: any parameter may be for a masked column', async (t) => {
  const requests = new Requests(engine, MASKS.ssn);
  t.ok(requests.toServer(bind(['a'], [], 'unseen')).equals(bind(['********'], [], 'unseen')));
});

t.test('a parameter too long to be held is masked as it passes', async (t) => {
  const long = (card: string): string => `${'x'.repeat(1_500_000)} ${card} ${'y'.repeat(10)}`;
  const requests = new Requests(engine, MASKS.both);
  requests.toServer(parse('insert into people (name, ssn) values ($1, $2)', [TEXT, TEXT]));
  const came = bind([long(CARD), 'abc']);
  const out: Buffer[] = [];
  for (let at = 0; at < came.length; at += 65_536)
    out.push(requests.toServer(Buffer.from(came.subarray(at, at + 65_536))));
  t.ok(Buffer.concat(out).equals(bind([long(MASKED), '***'])));
});

t.test('what is malformed is denied, and the session goes on', async (t) => {
  const requests = new Requests(engine, MASKS.cards);
  const wrong = message('B', text(''), text(''), int16(0), int16(2), sized(Buffer.from(CARD)));
  const denied = requests.toServer(parse(SQL), wrong, execute, sync).toString('latin1');
  t.notMatch(denied, CARD);
  const token = /sluice_denied_\w+/.exec(denied)?.[0] ?? '';
  const answer = requests.toAgent(message('1'), message('E', text(`M"${token}"`), Buffer.alloc(1)), READY);
  t.match(answer.toString('latin1'), /C42501.*a value that is to be masked cannot be/s);
  t.ok(requests.toServer(parse(SQL), bind(['x'])).includes(bind(['x'])));
});

t.test('under settings by which texts would be cut otherwise', async (t) => {
  const off = new Requests(engine, MASKS.cards, { standard_conforming_strings: 'off' });
  t.match(off.toServer(query(`select '${CARD}'`)).toString(), `select '${MASKED}'`);
  for (const sql of [`select 'a\\' ${CARD}'`, `select E'\\x34111111111111111'`])
    t.match(off.toServer(query(sql)).toString('latin1'), /sluice_denied/, sql);
  const on = new Requests(engine, MASKS.cards);
  t.match(on.toServer(query(`select 'a\\', '${CARD}'`)).toString(), `select 'a\\', '${MASKED}'`);
  t.match(on.toServer(query('set standard_conforming_strings = off')).toString('latin1'), /sluice_denied/);
  const latin1 = new Requests(engine, MASKS.cards, { client_encoding: 'LATIN1' });
  t.match(latin1.toServer(query(`select 'é ${CARD}'`)).toString('latin1'), /sluice_denied/);
  const long = query(`select '${'x'.repeat(140_000)}'`);
  t.match(on.toServer(long).toString('latin1'), /^Q.{4}sluice_denied/s, 'longer than can be read');
});

t.test('functions called by number', async (t) => {
  const call = (oid: number, formats: readonly number[], ...args: Value[]): Buffer =>
    message(
      'F',
      uint32(oid),
      int16(formats.length),
      ...formats.map(int16),
      int16(args.length),
      ...args.map((value) => sized(bytesOf(value))),
      int16(1),
    );
  const cases: [string, Buffer, Buffer][] = [
    ['text', call(1, [], CARD, 'x'), call(1, [], MASKED, 'x')],
    ['binary', call(1, [1], int8(4111111111111111n)), call(1, [1], null)],
    [
      'lowrite',
      call(955, [1], uint32(0), Buffer.from(`\0${CARD}`)),
      call(955, [1], uint32(0), Buffer.from(`\0${MASKED}`)),
    ],
    ['none', call(954, [1], uint32(0), uint32(8192)), call(954, [1], uint32(0), uint32(8192))],
  ];
  for (const [name, came, gone] of cases)
    t.equal(sent('cards', [], came, t).bytes.toString('latin1'), gone.toString('latin1'), name);
  const wrong = message('F', uint32(1), int16(0), int16(3));
  t.match(new Requests(engine, MASKS.cards).toServer(wrong).toString('latin1'), /^Q.{4}sluice_denied/s);
  const long = message('F', Buffer.alloc(1_100_000));
  t.match(new Requests(engine, MASKS.cards).toServer(long).toString('latin1'), /^Q.{4}sluice_denied/s);
});

t.test('passwords are not touched', async (t) => {
  const requests = new Requests(engine, MASKS.cards);
  const password = message('p', text(CARD));
  t.ok(requests.toServer(password).equals(password));
});

t.test('what a session begins with', async (t) => {
  const masker = makeMasker(engine, MASKS.cards, 'requests');
  const hits: unknown[] = [];
  const masked = (parameters: Record<string, string>): Buffer =>
    masker === null
      ? Buffer.alloc(0)
      : maskStartup(startupMessage(parameters), masker, (found) => hits.push(...found));
  const came = { user: CARD, database: CARD, application_name: `for ${CARD}`, options: `-c a.b=${CARD}` };
  const gone = { ...came, application_name: `for ${MASKED}`, options: `-c a.b=${MASKED}` };
  t.ok(masked(came).equals(startupMessage(gone)), 'names a session needs stay');
  t.equal(hits.length, 2);
  const plain = { user: 'u', application_name: 'psql' };
  t.ok(masked(plain).equals(startupMessage(plain)));
  const nothing = makeMasker(engine, MASKS.null, 'requests');
  if (nothing !== null)
    t.ok(
      maskStartup(startupMessage(came), nothing, () => {}).equals(
        startupMessage({ user: CARD, database: CARD }),
      ),
    );
});

t.test('a value is hashed to the same in a statement, in a parameter, in COPY and in a result', async (t) => {
  const both: CompiledMask[] = [{ ...MASKS.hash[0], direction: 'both' } as CompiledMask];
  const requests = new Requests(engine, both);
  const found = [
    requests.toServer(query(`select '${CARD}'`)),
    requests.toServer(query("select E'\\x34111 1111 1111 1111'")),
    requests.toServer(parse(SQL, [TEXT]), bind([CARD], [1]), sync),
  ];
  requests.toAgent(
    ...[1, 2].flatMap(() => [message('C', text('SELECT 0')), READY]),
    message('1'),
    message('2'),
    READY,
  );
  requests.toServer(query('select a'));
  const description = message(
    'T',
    int16(1),
    text('a'),
    uint32(0),
    int16(0),
    uint32(TEXT),
    int16(-1),
    uint32(0),
    int16(0),
  );
  found.push(requests.toAgent(description, message('D', int16(1), sized(Buffer.from(CARD)))));
  for (const bytes of found) t.ok(bytes.includes(HASH), bytes.toString('latin1'));
});

t.test('whatever comes, it is a value or a protocol error', async (t) => {
  const random = seededRandom(7);
  const good = [
    parse('insert into people (id, ssn) values ($1, $2)', [INT8, TEXT]),
    bind([int8(4111111111111111n), CARD], [1, 0]),
    execute,
    sync,
    query(`select '${CARD}' -- ${CARD}`),
    message('F', uint32(1), int16(0), int16(1), sized(Buffer.from(CARD)), int16(0)),
  ];
  for (let round = 0; round < 400; round += 1) {
    const requests = new Requests(engine, MASKS.both);
    try {
      for (const each of good) requests.toServer(random() < 0.5 ? mutate(each, random) : each);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
  }
  t.pass('nothing else was thrown');
});

/** Of many bytes, of which nothing is kept but their number. */
const longText = (bytes: number): string => `select 1 -- ${'x'.repeat(bytes)}`;

t.test('what is known of statements is bounded by the size of their texts', async (t) => {
  const requests = new Requests(engine, MASKS.ssn);
  const given = () => requests.toServer(bind(['x'], [], 's'));
  requests.toServer(parse('select * from people where id = $1', [], 's'));
  t.ok(given().includes('x'), 'no value of the column');
  for (let count = 0; count < 12; count += 1) requests.toServer(parse(longText(100_000), [], `l${count}`));
  t.notOk(given().includes('x'), 'of a statement that is not known any more it may be one');
});

t.test('texts that are not answered are bounded by their size', async (t) => {
  const requests = new Requests(engine, MASKS.cards);
  const answered = new Requests(engine, MASKS.cards);
  const one = parse(longText(120_000));
  t.throws(() => {
    for (let count = 0; count < 150; count += 1) requests.toServer(one);
  }, /without reading answers/);
  for (let count = 0; count < 150; count += 1) {
    answered.toServer(one);
    answered.toAgent(message('1'));
  }
  t.pass('with answers there is no end');
});
