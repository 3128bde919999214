/** Which statements take values of a masked column elsewhere. */
import t from 'tap';
import { carriedBy, carriesColumn } from '#src/protocols/postgres/masking/carry.ts';
import { Catalog } from '#src/protocols/postgres/masking/catalog.ts';
import { ColumnRules } from '#src/protocols/postgres/masking/column-rules.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';

await loadParser();
const columns = new ColumnRules([{ schema: null, table: 'people', column: 'ssn' }]);
const meant = { rule: 0, schema: 'public', column: 'ssn', columns: ['id', 'ssn'] };
const catalog = new Catalog(
  columns.rules,
  1_000,
  [
    { ...meant, tableOid: 10, attribute: 2, table: 'people' },
    { ...meant, tableOid: 11, attribute: 0, table: 'shown', column: null },
  ],
  new Set(['ssn_of']),
);
const carries = (sql: string, known = catalog): boolean => {
  const carried = carriedBy(Buffer.from(sql));
  return carried !== null && carriesColumn(carried, columns, known);
};

const CARRYING = [
  'create table t as select ssn from people',
  'create table t as table people',
  'create temp table t as select x from (select ssn as x from people) q',
  'create table t as select ssn_of(1)',
  'create table t as execute p',
  'select ssn as x into t from people',
  'create view v as select ssn as x from people',
  'create view v as select x from shown',
  'create materialized view v as select upper(ssn) from people',
  'insert into t select id, ssn from people',
  'insert into t (x) values ((select ssn from people limit 1))',
  'with p as (select * from people) insert into t select * from p',
  'with i as (insert into t select ssn from people returning *) select * from i',
  'update t set x = (select ssn from people limit 1)',
  'update t set x = p.ssn from people p where p.id = t.id',
  'update t set ssn = p.ssn from people p where p.id = t.id',
  'update people set name = ssn',
  'update people set name = upper(people.ssn) where id = 1',
  'update people set (name, ssn) = (select ssn, name from people limit 1)',
  'insert into people (id) values (1) on conflict (id) do update set name = people.ssn',
  'merge into t using people p on t.id = p.id when matched then update set x = p.ssn',
  'merge into people using t on true when matched then update set name = people.ssn',
  'prepare p as insert into t select ssn from people',
  'explain analyze insert into t select ssn from people',
  'alter table people rename ssn to x',
  'alter table t rename ssn to x',
  'alter type y rename attribute ssn to x cascade',
  'alter table people rename to x',
  'alter table people detach partition t',
  'alter table t attach partition people default',
  'alter table people inherit t',
  'alter table t no inherit people',
  'update people as excluded set name = excluded.ssn',
  'create foreign table f (ssn text) server s',
  'import foreign schema public from server s into x',
  "copy t from program 'id'",
  "select lo_import('base/5/1', 1)",
  'alter table people set schema x',
  'alter view shown rename to x',
  'alter table people add column x text generated always as (ssn) stored',
  'alter table people alter column name type text using ssn',
  "select set_config('a.b', ssn, false) from people",
  "with x as (select set_config('a.b', ssn, false) from people) select 1 from x",
  "select pg_notify('c', (select ssn from people limit 1))",
  'select lo_from_bytea(1, ssn::bytea) from people',
  "select dblink_exec('c', 'insert into t values (' || ssn || ')') from people",
  "copy people to '/tmp/x'",
  "copy (select ssn from people) to program 'cat'",
  'create table t (x text default ssn_of(1))',
  'alter table t alter column x set default ssn_of(1)',
  'do $$ begin end $$',
  "create function f() returns text language sql as 'select 1'",
  "create procedure f() language sql as 'select 1'",
  'create trigger g after insert on t execute function f()',
  'create rule r as on insert to t do also select 1',
  'create aggregate a (int) (sfunc = f, stype = int)',
  "insert into t values (query_to_xml('select ssn from people', true, true, ''))",
  "update t set x = query_to_xml('select ssn from people', true, true, '')",
];

const NOT_CARRYING = [
  'select ssn from people',
  "insert into people (id, ssn) values (1, '2')",
  'insert into people (id, ssn) select id, ssn from staging',
  'insert into people (id, ssn) values ($1, $2) on conflict (id) do update set ssn = excluded.ssn returning id',
  'insert into t values (ssn_of_nothing(1))',
  'update people set ssn = $1 where ssn = $2',
  'update people set ssn = coalesce($1, ssn) where id = 1',
  'update people set name = upper(name) where ssn = $1',
  'update people set name = s.name from staging s where s.id = people.id',
  'update t set x = nextval($1)',
  'delete from people where ssn = $1',
  'merge into people using staging s on true when matched then update set ssn = s.ssn when not matched then insert (id, ssn) values (s.id, s.ssn)',
  'copy people to stdout',
  'copy people from stdin',
  'create table t (id int, ssn text)',
  'create table people (id int default 1, ssn text primary key, at timestamptz default now())',
  'create table t as select ssn from staging',
  'create view v as select id from people',
  'alter table people add column x text',
  'alter table t rename a to x',
  'alter table t no inherit u',
  "copy t from '/tmp/x'",
  'create index on people (id)',
  "select set_config('work_mem', '1MB', false)",
  "select nextval('s'), ssn from people",
  'call p()',
  'drop table people',
  'begin',
];

t.test('statements that carry a masked column elsewhere', async (t) => {
  for (const sql of CARRYING) t.ok(carries(sql), sql);
  for (const sql of NOT_CARRYING) t.notOk(carries(sql), sql);
});

t.test('in a database without the column nothing is carried', async (t) => {
  const without = new Catalog(columns.rules, 1_000, []);
  for (const sql of CARRYING) t.notOk(carries(sql, without), sql);
});

t.test('what is not understood is nobody’s here', async (t) => {
  t.equal(carriedBy(Buffer.from('selec')), null);
});
