/**
 * Ways to get a masked value out of a real PostgreSQL that psql alone has not: what code of the database may put it into where only
 * detectors look for it, and messages that no client sends. Each is tried without masks as well.
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { CompiledMask } from '#src/policy/types.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';
import { MaskingProxy } from '#test/support/masking-proxy.ts';
import { CARDS, SSN } from '#test/support/masks.ts';
import { uint32 } from '#test/support/postgres-packets.ts';
import * as pg from '#test/support/postgres-wire.ts';
import { ScratchPostgres } from '#test/support/scratch-postgres.ts';

t.setTimeout(240_000);
await loadParser();
const server = await ScratchPostgres.start();
t.teardown(() => server.stop());

async function proxyFor(masks: readonly CompiledMask[]): Promise<MaskingProxy> {
  const dir = mkdtempSync('/tmp/sluice-attacks-');
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  chmodSync(dir, 0o755);
  const proxy = await MaskingProxy.start(dir, server.socket, masks);
  t.teardown(() => proxy.stop());
  return proxy;
}

const proxy = await proxyFor([CARDS, { ...SSN, strict: true }]);
/** Only cards are looked for, and code may be brought. */
const searching = await proxyFor([CARDS]);

const CARD = '4111111111111111';
const VALUES = ['078-05-1120', '219-09-9999', '333-22-4444', CARD];
/** As they are, backwards, in hexadecimal, in base64. */
const SECRETS = VALUES.flatMap((value) => [
  value,
  [...value].reverse().join(''),
  Buffer.from(value).toString('hex'),
  Buffer.from(value).toString('base64').replace(/=+$/, ''),
]);
/** The card as numbers are in binary. */
const INT8 = Buffer.alloc(8);
INT8.writeBigInt64BE(BigInt(CARD));
const NUMERIC = Buffer.from('100f045704570457', 'hex');

function secretsIn(said: Buffer): string[] {
  const found = SECRETS.filter((secret) => said.includes(secret));
  for (const [name, number] of [
    ['int8', INT8],
    ['numeric', NUMERIC],
  ] as const)
    if (said.includes(number)) found.push(name);
  return found;
}

function attacksIn(name: string): { readonly name: string; readonly sql: string }[] {
  const text = readFileSync(join(import.meta.dirname, '../fixtures/postgres', name), 'utf8');
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return lines.map((line) => {
    const [, name = '', sql = ''] = /^(.+?) \| (.*)$/.exec(line) ?? [];
    return { name, sql };
  });
}

const made = await server.psql(`
  create table people (id int primary key, name text, ssn text);
  insert into people values (1, 'Ada', '078-05-1120'), (2, 'Bob', '219-09-9999');
  create extension hstore;
  create table pay (id int primary key, t text, n numeric, i bigint, j jsonb);
  insert into pay values (1, '${CARD}', ${CARD}, ${CARD}, '{"c": ${CARD}}');
  select lo_from_bytea(4242, '${CARD}') > 0;
  create type r8 as range (subtype = int8);`);
t.equal(made.stderr, '');

t.test('what is looked for does not come out, wherever code may put it', async (t) => {
  for (const { name, sql } of attacksIn('attacks-detectors.txt')) {
    const { stdout, stderr } = await server.psql(sql, { host: searching.dir });
    const said = stdout + stderr;
    t.strictSame(secretsIn(Buffer.from(said)), [], `${name}: ${said.slice(0, 200)}`);
    t.not(said, '', `${name} is answered`);
  }
  t.strictSame(searching.errors, [], 'no flow was ended for it');
});

const SSN_EXPRESSION = "select ssn || '' from people";
const ofPeople = (name: string) => pg.parse(SSN_EXPRESSION, name);

/** Sessions that no psql has: what they are about, the steps, and what is to be there when nothing was masked. */
const SESSIONS: readonly (readonly [name: string, steps: readonly Buffer[]])[] = [
  ['EXECUTE of what was parsed', [Buffer.concat([ofPeople('s'), pg.sync]), pg.query('execute s')]],
  ['EXECUTE in one batch with it', [Buffer.concat([ofPeople('s'), pg.sync, pg.query('execute s')])]],
  [
    'EXECUTE of what was parsed, by the extended protocol and in binary',
    [Buffer.concat([ofPeople('s'), pg.sync]), pg.asked('execute s', { format: pg.BINARY })],
  ],
  [
    'EXECUTE of it with an error that quotes',
    [Buffer.concat([pg.parse('select ssn::int from people', 's'), pg.sync]), pg.query('execute s')],
  ],
  [
    'FETCH from a portal',
    [
      pg.query('begin'),
      Buffer.concat([pg.parse(SSN_EXPRESSION), pg.bind({ portal: 'c' }), pg.sync]),
      pg.query('fetch all from c'),
    ],
  ],
  [
    'FETCH from a portal, by the extended protocol',
    [
      pg.query('begin'),
      Buffer.concat([pg.parse(SSN_EXPRESSION), pg.bind({ portal: 'c' }), pg.sync]),
      pg.asked('fetch all from c'),
    ],
  ],
  [
    'a name that is deallocated and prepared again',
    [
      Buffer.concat([pg.parse('select 1', 's'), pg.sync]),
      pg.query(`deallocate s; prepare s as ${SSN_EXPRESSION}`),
      Buffer.concat([pg.bind({ statement: 's' }), pg.execute(), pg.sync]),
    ],
  ],
  [
    'the unnamed statement, replaced between Bind and Execute',
    [
      Buffer.concat([
        pg.parse(SSN_EXPRESSION),
        pg.bind(),
        pg.parse('select 1'),
        pg.describe('S'),
        pg.execute(),
        pg.sync,
      ]),
    ],
  ],
  [
    'a portal described under another statement',
    [
      Buffer.concat([
        pg.parse('select name from people', 'a'),
        ofPeople('b'),
        pg.bind({ portal: 'p', statement: 'a' }),
        pg.describe('P', 'p'),
        pg.bind({ portal: 'q', statement: 'b' }),
        pg.execute('q'),
        pg.sync,
      ]),
    ],
  ],
  ['rows after an error that was skipped', [pg.asked('select 1/0'), pg.asked(SSN_EXPRESSION)]],
];

const SEARCHED: readonly (readonly [name: string, steps: readonly Buffer[]])[] = [
  ...[
    "to_tsvector('simple', repeat('x ', 50) || 'a ' || t), plainto_tsquery('simple', t)",
    'int8range(i, null), numrange(n, null), int8multirange(int8range(i, null)), r8(i, null)',
    'array[int8range(i, null)], row(numrange(n, null)), array[r8(i, null)]',
    "(i || ':' || i || ':')::pg_snapshot, i::text::xid8",
    "hstore('a', t || ' ' || repeat('x', 291)), hstore('a', t || ' is the number of a card, which is kept in here'), hstore(pay)",
    "i, n, t, j, ('$.a == \"' || t || '\"')::jsonpath, t::xml, t::bytea, t::name",
    'i::float8, array[i, i], array[n], row(i, n, t, j)',
  ].map((columns): [string, Buffer[]] => [
    `in binary: ${columns}`,
    [pg.asked(`select ${columns} from pay`, { format: pg.BINARY })],
  ]),
  ...['i', 'n', 't', 'j', 'int8range(i, null)', "to_tsvector('simple', t)", 'array[n]'].map(
    (column): [string, Buffer[]] => [
      `COPY in binary: ${column}`,
      [pg.query(`copy (select ${column} from pay) to stdout (format binary)`)],
    ],
  ),
  [
    'statistics in binary',
    [
      pg.query('create table m as select i, t from pay, generate_series(1, 50)'),
      pg.query('analyze m'),
      pg.asked("select most_common_vals from pg_stats where tablename = 'm'", { format: pg.BINARY }),
    ],
  ],
  [
    'name of a column that is only described',
    [
      pg.query("do $$ begin execute (select format('create temp table x (%I int)', t) from pay); end $$"),
      Buffer.concat([pg.parse('select * from x'), pg.describe('S'), pg.sync]),
      Buffer.concat([pg.parse('select * from x'), pg.bind(), pg.describe('P'), pg.sync]),
    ],
  ],
  [
    'a large object by number, as text and in binary',
    [
      pg.query('begin'),
      pg.call(952, [uint32(4242), uint32(0x40000)], [pg.BINARY, pg.BINARY]),
      pg.call(954, [uint32(0), uint32(100)], [pg.BINARY, pg.TEXT]),
      pg.call(956, [uint32(0), uint32(0), uint32(0)], [pg.BINARY, pg.BINARY]),
      pg.call(954, [uint32(0), uint32(100)], [pg.BINARY, pg.BINARY]),
    ],
  ],
  ['another function by number, as text', [pg.call(3458, [uint32(4242)], [pg.BINARY, pg.TEXT])]],
  ['a number of a function by number', [pg.call(462, [`-${CARD}`], [pg.TEXT, pg.BINARY])]],
  ['a numeric of a function by number', [pg.call(1771, [`-${CARD}`], [pg.TEXT, pg.BINARY])]],
];

t.test("nothing comes out by messages that are no client's", async (t) => {
  for (const [through, sessions] of [
    [proxy, SESSIONS],
    [searching, SEARCHED],
  ] as const)
    for (const [name, steps] of sessions) {
      const said = await pg.wire(join(through.dir, '.s.PGSQL.5432'), steps);
      t.strictSame(secretsIn(said), [], name);
      const plain = await pg.wire(server.socket, steps);
      t.not(secretsIn(plain).length, 0, `${name}, as the server says it`);
    }
  t.strictSame([...proxy.errors, ...searching.errors], [], 'no flow was ended for it');
});
