/** Which statements may bring values of a masked column out under another name. */
import t from 'tap';
import { Catalog } from '#src/protocols/postgres/masking/catalog.ts';
import { ColumnRule, reachesIn } from '#src/protocols/postgres/masking/column-rules.ts';
import { readsStatistics, statementFacts, touches } from '#src/protocols/postgres/masking/touch.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';

await loadParser();
const rule = new ColumnRule({ schema: null, table: 'people', column: 'ssn' });
const column = { rule: 0, schema: 'public', column: 'ssn', columns: ['id', 'ssn'] };
const catalog = new Catalog([rule], 1_000, [
  { ...column, tableOid: 10, attribute: 2, table: 'people' },
  { ...column, tableOid: 11, attribute: 0, table: 'shown', column: null },
]);
const touched = (sql: string, known: Catalog | null = catalog): boolean =>
  touches(statementFacts(Buffer.from(sql)), rule, reachesIn(known));

const TOUCHING = [
  'select upper(ssn) from people',
  'select p.ssn || $1 from people p',
  'select (p).ssn from people p',
  'select count(*) from (select * from people) x',
  'select row_to_json(people) from people',
  'select p::text from people p',
  'select public.people from public.people',
  'select array_agg(p) from people p',
  'select max(a) from people as p (x, a)',
  'with p (a) as (select ssn from people) select lower(a) from p',
  'with p as (select * from people) select md5(x) from p',
  'select substr(hidden, 1) from shown',
  'select 1 from people where ssn = $1',
  'table people',
  'select (select ssn from people limit 1) || 1',
  'select * from only people',
  'update people set name = ssn returning upper(name)',
  'delete from people returning *',
  'insert into people (ssn) values ($1) returning lower(ssn)',
  'select coalesce(x.ssn) from others x join people using (ssn)',
  'do $$ begin perform 1; end $$',
  "select query_to_xml('select 1', true, true, '')",
  "select table_to_xml('x'::regclass, true, true, '')",
  'prepare p as select upper(ssn) from people',
  'declare c cursor for select upper(ssn) from people',
  'create table t as select ssn from people',
  'select "ssn" from people',
  'select U&"s\\0073n" from people',
  'select /* no */ upper(SSN) from People',
  'select x.c from people cross join lateral (select ssn as c) x',
  'merge into people using (select 1) s on true when matched then update set name = ssn',
  'not sql at all',
];

const NOT_TOUCHING = [
  'select upper(name) from people',
  'select count(*) from people',
  'select upper(ssn) from others',
  'select 1',
  'explain select ssn from people',
  "select now(), 'x'",
  'insert into people (name) values ($1)',
  'show all',
  'begin',
];

t.test('statements that touch a masked column', async (t) => {
  for (const sql of TOUCHING) t.ok(touched(sql), sql);
  for (const sql of NOT_TOUCHING) t.notOk(touched(sql), sql);
});

t.test('as long as nobody knows the tables any of them may be a view of it, with other names', async (t) => {
  for (const sql of [
    'select upper(ssn) from others',
    'select upper(name) from others',
    'select upper(hidden) from public.pg_class',
    'with pg_x as (select 1) select * from (select hidden from shown) x',
    'with shown as (select 1) select count(*) from shown',
  ])
    t.ok(touched(sql, null), sql);
  for (const sql of [
    "select pg_catalog.format_type(t.oid, null) || 'x' from pg_catalog.pg_type t",
    'select relname || 1 from pg_class',
    'show all',
    'select 1 + 1',
  ])
    t.notOk(touched(sql, null), sql);
});

t.test('and any function may read it that is not certainly one of PostgreSQL', async (t) => {
  const calls = (sql: string): boolean | undefined => statementFacts(Buffer.from(sql))?.calls;
  for (const sql of [
    'select one_of(1)',
    'select * from public.one_of(1)',
    'select (x).one_of from (select 1) x',
    'select now(), s.version()',
    'select 1 where exists (select from one_of(1))',
  ])
    t.ok(calls(sql), sql);
  for (const sql of [
    'select version(), current_schema()',
    'select pg_catalog.upper($1), current_user',
    'show x',
  ])
    t.notOk(calls(sql), sql);
});

t.test(
  'a rule for a column of any table leaves the system and names of CTEs alone once the tables are known',
  async (t) => {
    const any = new ColumnRule({ schema: null, table: null, column: 'ssn' });
    const known = new Catalog([any], 1_000, [{ ...column, tableOid: 10, attribute: 2, table: 'people' }]);
    const reached = (sql: string, asked: Catalog | null): boolean =>
      touches(statementFacts(Buffer.from(sql)), any, reachesIn(asked));
    for (const sql of [
      'with recursive tree (a, b) as (select t.oid, t.typname from pg_catalog.pg_type t) select b || a from tree',
      'select (select c.* from information_schema.columns c)',
    ]) {
      t.notOk(reached(sql, known), sql);
      t.ok(reached(sql, null), sql);
    }
    for (const sql of [
      'with people as (select * from others) select upper(ssn) from people',
      'with x (a) as (select ssn from people) select lower(a) from x',
      'with x (a) as (select * from newer) select lower(a) from x',
      'select lower(a) from newer n (a)',
    ])
      t.ok(reached(sql, known), sql);
  },
);

t.test('statistics hold values of all columns', async (t) => {
  for (const name of ['pg_stats', 'pg_statistic', 'pg_catalog.pg_stats_ext'])
    t.ok(readsStatistics(statementFacts(Buffer.from(`select * from ${name}`))), name);
  for (const name of ['pg_stat_activity', 'pg_statistic_ext'])
    t.notOk(readsStatistics(statementFacts(Buffer.from(`select * from ${name}`))), name);
  t.ok(readsStatistics(statementFacts(Buffer.from('select * from pg_statistic_ext_data'))));
});

t.test('what a text says of what comes after it', async (t) => {
  const facts = (sql: string) => statementFacts(Buffer.from(sql));
  t.match(facts('execute p'), { isIndirect: true });
  t.match(facts('fetch 1 from c'), { isIndirect: true });
  t.match(facts('prepare p as select 1'), { lasts: true });
  t.match(facts('declare c cursor for select 1'), { lasts: true });
  t.match(facts('create function f() returns int language sql as $$ select 1 $$'), { lasts: true });
  t.match(facts('alter table t rename to u'), { changesTables: true });
  t.match(facts('do $$ begin end $$'), { changesTables: true, runsCode: true });
  t.match(facts('select 1'), { lasts: false, changesTables: false, isIndirect: false, copies: [] });
  t.equal(facts('copy a to stdout; copy b from stdin csv')?.copies.length, 2);
});
