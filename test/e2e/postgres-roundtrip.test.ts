/**
 * A database with values of every type, taken out and put back by pg_dump, psql, pg_restore and COPY: nothing is changed by
 * rules and masks that match nothing, and by some that do exactly what they mean.
 */
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { BUILT_IN, everyType } from '#test/support/every-type.ts';
import { SqlField, type Way } from '#test/support/sql-field.ts';
import { AGENTS } from '#test/support/world-policy.ts';

t.setTimeout(1_000_000);
const mine = `agents: [${AGENTS.shop}], destinations: [db]`;
const field = await SqlField.open({
  masks: `
  - { name: cards, ${mine}, detect: [card], action: partial, keep_last: 4 }
  - { name: ssn, ${mine}, columns: [people.ssn] }`,
});
t.teardown(() => field.close());

/** What is run must succeed and say nothing. */
async function quietly(way: Way, argv: readonly string[]): Promise<string> {
  const done = await field.run(way, argv);
  if (done.code !== 0 || done.stderr !== '') throw new Error(`${way} ${argv.join(' ')}: ${done.stderr}`);
  return done.stdout;
}

function sql(way: Way, script: string): Promise<string> {
  return quietly(way, ['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-f', field.file(script)]);
}

async function dump(way: Way, ...options: string[]): Promise<string> {
  const path = field.file();
  await quietly(way, ['pg_dump', '-n', 'every', '-b', ...options, '-f', path]);
  return path;
}

/** Newer minor versions put a token of their own into each. */
const read = (path: string): string => readFileSync(path, 'utf8').replace(/^\\(?:un)?restrict .*\n/gm, '');

/** An archive as SQL. */
async function unpacked(archive: string): Promise<string> {
  const path = field.file();
  await quietly('direct', ['pg_restore', '-f', path, archive]);
  return read(path);
}

const EMPTY =
  'set client_min_messages = error; drop schema every cascade; select count(lo_unlink(oid)) from pg_largeobject_metadata;';
/** What is there, as PostgreSQL writes it without anybody between. */
const state = async (): Promise<string> => read(await dump('direct'));
await sql('direct', everyType());
const before = await state();

t.test('every type there is has its values', async (t) => {
  const names = await sql(
    'direct',
    `select typname from pg_type where typnamespace = 'pg_catalog'::regnamespace and typtype in ('b', 'r', 'm', 'e', 'd')
       and typcategory <> 'A' order by typname collate "C"`,
  );
  t.strictSame(names.trim().split('\n'), [...BUILT_IN].sort());
  t.ok(before.length > 10_000_000);
});

t.test('a dump is the same in every format', async (t) => {
  for (const options of [[], ['--inserts'], ['--column-inserts', '--rows-per-insert=7']]) {
    const direct = read(await dump('direct', ...options));
    t.ok(read(await dump('quiet', ...options)) === direct, options.join(' '));
  }
  for (const format of ['-Fc', '-Ft']) t.ok((await unpacked(await dump('quiet', format))) === before, format);
});

t.test('what is loaded again is the same: pg_dump | psql, and -Fc with pg_restore', async (t) => {
  const plain = await dump('quiet');
  await sql('direct', EMPTY);
  const loaded = await field.run('quiet', [
    'psql',
    '-Xq',
    '-v',
    'ON_ERROR_STOP=1',
    '-o',
    '/dev/null',
    '-f',
    plain,
  ]);
  t.match(loaded, { code: 0, stderr: '' });
  t.ok((await state()) === before, 'psql');

  const custom = await dump('quiet', '-Fc');
  t.ok(statSync(custom).size > 10_000);
  await sql('direct', EMPTY);
  const restored = await field.run('quiet', ['pg_restore', '-e', '-d', 'shop', custom]);
  t.match(restored, { code: 0, stderr: '' });
  t.ok((await state()) === before, 'pg_restore');
});

t.test('COPY of every table, in text, CSV and binary, out and in', async (t) => {
  const rows = await sql(
    'direct',
    `select c.relname, (select bool_and(t.typsend <> 0) from pg_attribute a join pg_type t on t.oid = a.atttypid
         where a.attrelid = c.oid and a.attnum > 0 and not (t.typelem <> 0 and exists (select from pg_type e where e.oid = t.typelem and e.typsend = 0)))
         and not exists (select from pg_attribute a join pg_type t on t.oid = a.atttypid join pg_type e on e.oid = t.typelem
           where a.attrelid = c.oid and e.typsend = 0)
       from pg_class c where relnamespace = 'every'::regnamespace and relkind = 'r' and relname ~ '^t_' order by 1`,
  );
  const tables = rows
    .trim()
    .split('\n')
    .map((row) => row.split('|'));
  t.ok(tables.length > 85);
  const dir = field.dir();
  for (const way of ['direct', 'quiet']) mkdirSync(join(dir, way));
  const moves = (way: Way, what: string): string =>
    tables
      .flatMap(([name, isBinary]) =>
        ['text', 'csv', ...(isBinary === 't' ? ['binary'] : [])].map((format) => ({ name, format })),
      )
      .map(({ name, format }) => {
        const file = `'${dir}/${way}/${name}.${format}'`;
        return what === 'out'
          ? `\\copy (select * from every."${name}" order by id) to ${file} (format ${format})`
          : `truncate every."${name}";\n\\copy every."${name}" from ${file} (format ${format})`;
      })
      .join('\n');
  await sql('direct', moves('direct', 'out'));
  await sql('quiet', moves('quiet', 'out'));
  const compared = await field.run('direct', [
    'sh',
    '-c',
    'cd "$1/direct" && for f in *; do cmp "$f" "../quiet/$f" || exit 1; done; ls | wc -l',
    'sh',
    dir,
  ]);
  t.match(compared, { code: 0, stderr: '' });
  t.ok(Number(compared.stdout) > 250, compared.stdout);
  const tablesOf = (text: string): string => text.replace(/^.*?^COPY /ms, 'COPY ').replace(/^-- .*\n/gm, '');
  const was = tablesOf(await state());
  await sql('quiet', moves('quiet', 'in'));
  t.ok(tablesOf(await state()) === was);
});

/** A card in everything that can hold one, and a column that is masked whole. */
const SECRETS = `
set client_min_messages = error; set xmloption = content;
drop schema if exists secret cascade; create schema secret;
create type secret.pair as (x int, note text);
create domain secret.card as text;
create table secret.people (id int primary key, ssn text, ssns text[] generated always as (array[ssn]) stored);
insert into secret.people values (1, '078-05-1120'), (2, null), (3, 'other 078-05-1121');
create table secret.cards (
  id int, t text, v varchar(40), c char(20), n name, d secret.card, h public.hstore, ci public.citext, j json, jb jsonb, x xml, by bytea,
  i int8, nu numeric, ts tsvector, p secret.pair, ta text[], ia int8[], nua numeric[], pa secret.pair[], ja jsonb[], bya bytea[],
  ir int8range, nr numrange, nm nummultirange, plain text, whole int);
insert into secret.cards values (1, 'is 4111 1111 1111 1111!', '4111-1111-1111-1111', '4111111111111111', '4111111111111111',
  '4111111111111111', 'a=>4111111111111111', '4111111111111111', '{"a": ["4111111111111111", 4111111111111111]}',
  '{"4111111111111111": {"b": "4111\\u00201111 1111 1111", "c": 4111111111111111}}', '<a b="4111111111111111">4111 1111 1111 1111</a>',
  'card 4111111111111111', 4111111111111111, 4111111111111111, '''4111111111111111'':1 x:2', row(1, 'no "4111111111111111"'),
  '{"4111111111111111","a b",NULL}', '{4111111111111111,7}', '{4111111111111111,7}', array[row(1, '4111111111111111')::secret.pair, null],
  array['"4111111111111111"'::jsonb, '1'], array['4111111111111111'::bytea], '[4111111111111111,4111111111111112)',
  '[1,4111111111111111]', '{[1,4111111111111111]}', 'nothing', 7),
  (2, 'none', 'none', 'none', 'none', 'none', 'a=>1', 'none', '{}', '{}', '<a/>', 'none', 1, 2, 'none', row(2, ''), '{}', '{}', '{}', '{}', '{}',
  '{}', 'empty', 'empty', '{}', 'nothing', 8);
`;
const IN_ANY_FORM = [
  /4111[- ]?1111[- ]?1111[- ]?1111/,
  new RegExp(Buffer.from('4111111111111111').toString('hex')),
  /078-05-1120/,
];

t.test(
  'through masks that match, no secret comes out, the rest is the same, and it can be loaded',
  async (t) => {
    await sql('direct', SECRETS);
    const dumped = async (way: Way, ...options: string[]): Promise<string> => {
      const path = field.file();
      await quietly(way, ['pg_dump', '-n', 'secret', ...options, '-f', path]);
      return path;
    };
    for (const options of [[], ['--inserts']]) {
      const [open, masked] = [
        read(await dumped('direct', ...options)),
        read(await dumped('masked', ...options)),
      ];
      for (const form of IN_ANY_FORM) {
        t.match(open, form);
        t.notMatch(masked, form);
      }
      const [was, is] = [open.split('\n'), masked.split('\n')];
      t.equal(is.length, was.length);
      const changed = was.filter((line, index) => line !== is[index]);
      t.ok(changed.length >= 2, 'rows were masked');
      for (const line of changed) t.match(line, /4111|078-05/, 'and no other lines');
    }
    const archive = await dumped('masked', '-Fc');
    const masked = await unpacked(archive);
    for (const form of IN_ANY_FORM) t.notMatch(masked, form);
    for (const load of [
      ['psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', await dumped('masked')],
      ['pg_restore', '-e', '-d', 'shop', archive],
    ]) {
      await sql('direct', 'set client_min_messages = error; drop schema secret cascade');
      await quietly('direct', load);
      const rows = await sql(
        'direct',
        'select * from secret.cards order by id; select * from secret.people order by id',
      );
      for (const form of IN_ANY_FORM) t.notMatch(rows, form);
      t.match(rows, /^2\|none\|none\|none/m, 'what held nothing is the same');
      t.match(rows, /\|nothing\|7$/m);
      t.equal(await sql('direct', 'select count(*) from secret.cards'), '2\n');
      await sql('direct', SECRETS);
    }
  },
);

t.test('COPY in binary through masks that match can be read again', async (t) => {
  await sql('direct', SECRETS);
  const path = field.file();
  await sql(
    'masked',
    `\\copy secret.cards (t, v, d, jb, by, i, nu, ta, ia, plain) to '${path}' (format binary)`,
  );
  const bytes = readFileSync(path, 'latin1');
  for (const form of IN_ANY_FORM) t.notMatch(bytes, form);
  const again = await sql(
    'direct',
    `create temp table again as select t, v, d, jb, by, i, nu, ta, ia, plain from secret.cards where false;
     \\copy again from '${path}' (format binary)
     select * from again`,
  );
  t.match(again, /^is \*\*\*\* \*\*\*\* \*\*\*\* 1111!\|/);
  for (const form of IN_ANY_FORM) t.notMatch(again, form);
  t.match(again, /\|nothing\nnone\|/);
});
