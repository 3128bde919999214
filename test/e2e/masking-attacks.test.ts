/**
 * Ways to get a masked value out of a real PostgreSQL, each named, as somebody would try them who may do anything there: no answer,
 * error or notice may hold it. Without the kernel plane and TLS, over Unix sockets.
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test as Tap } from 'tap';
import type { CompiledMask } from '#src/policy/types.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';
import { MaskingProxy } from '#test/support/masking-proxy.ts';
import { CARDS, SSN } from '#test/support/masks.ts';
import { ScratchPostgres } from '#test/support/scratch-postgres.ts';

t.setTimeout(240_000);
await loadParser();
const server = await ScratchPostgres.start({ wal_level: 'logical' });
t.teardown(() => server.stop());
const dir = mkdtempSync('/tmp/sluice-attacks-');
t.teardown(() => rmSync(dir, { recursive: true, force: true }));
chmodSync(dir, 0o755);
const proxy = await MaskingProxy.start(dir, server.socket, [CARDS, { ...SSN, strict: true }]);
t.teardown(() => proxy.stop());

const VALUES = ['078-05-1120', '219-09-9999', '333-22-4444', '4111111111111111'];
/** As they are, backwards, in hexadecimal, in base64. */
const SECRETS = VALUES.flatMap((value) => [
  value,
  [...value].reverse().join(''),
  Buffer.from(value).toString('hex'),
  Buffer.from(value).toString('base64').replace(/=+$/, ''),
]);

t.test('no way gives a masked value away', async (t) => {
  const made = await server.psql(`
    create table people (id int primary key, name text, ssn text unique, card bigint);
    insert into people values (1, 'Ada', '078-05-1120', 4111111111111111), (2, 'Bob', '219-09-9999', 7);
    create table child () inherits (people); insert into child values (3, 'Cy', '333-22-4444', 8);
    create view shown as select id, ssn as hidden from people;
    create materialized view mat as select id, ssn as m from people;
    create table others (id int, ssn text); insert into others values (1, 'not theirs');
    create function rows_of() returns setof people language sql as 'select * from people';
    create function one_of(int) returns text language sql as 'select ssn from people where id = $1';
    create function as_view() returns table (a int, b text) language sql as 'select id, ssn from people';
    create extension tablefunc; create extension hstore; create extension dblink; create extension pageinspect;
    create view names as select id, name from people where id < 100 with check option;
    create domain ssn_domain as text; create type wrapped as (x text); create type mood as enum ('a');
    create cast (text as wrapped) with inout; create type textrange as range (subtype = text);
    create function joined(text, text) returns text language sql immutable as 'select $1 || $2';
    create operator ||| (leftarg = text, rightarg = text, function = joined);
    create function same(text) returns text language sql immutable as 'select $1';
    create function length_of(wrapped) returns text language sql immutable as 'select $1.x';
    create function opened(refcursor) returns refcursor language plpgsql as
      'begin open $1 for select upper(ssn) from people; return $1; end';
    create view instead as select id as a, ssn as b from people;
    create function put_row() returns trigger language plpgsql as
      'begin new.b := (select ssn from people where id = 1); return new; end';
    create trigger instead instead of insert or update on instead for each row execute function put_row();
    create table opens (a int); create function opens() returns trigger language plpgsql as
      'declare c refcursor := ''trc''; begin open c for select upper(ssn) from people; return new; end';
    create trigger opens before insert on opens for each row execute function opens();
    create table prepares (a int); create function prepares() returns trigger language plpgsql as
      'begin execute ''prepare trs as select upper(ssn) from people''; return new; end';
    create trigger prepares before insert on prepares for each row execute function prepares();
    create table ruled (a int, b text);
    create rule r as on insert to ruled do instead select id, ssn from people;
    create table parent (id int, name text, ssn text, card bigint) partition by list (id);
    create table flat (id int, ssn text);`);
  t.equal(made.stderr, '');

  const lines = readFileSync(join(import.meta.dirname, '../fixtures/postgres/attacks.txt'), 'utf8').split(
    '\n',
  );
  const attacks = lines.filter((line) => line !== '' && !line.startsWith('#'));
  t.ok(attacks.length >= 100, `${attacks.length} attacks`);
  for (const line of attacks) {
    const [, name = '', sql = ''] = /^(.+?) \| (.*)$/.exec(line) ?? [];
    const { stdout, stderr } = await server.psql(sql, { host: dir });
    const said = stdout + stderr;
    const found = SECRETS.filter((secret) => said.includes(secret));
    t.strictSame(found, [], `${name}: ${said.slice(0, 200)}`);
    t.not(said, '', `${name} is answered`);
  }
  t.strictSame(proxy.errors, [], 'no flow was ended for it');
});

t.test('where the database may not be asked, no name is believed, and no value comes out', async (t) => {
  await server.psql(`
    revoke select on pg_catalog.pg_depend from public;
    create role asked_in_vain; grant select on people, shown, mat, others to asked_in_vain;
    alter role asked_in_vain login;`);
  t.teardown(() => server.psql('grant select on pg_catalog.pg_depend to public;'));
  const { say, close } = await another(t, [CARDS, SSN], 'asked_in_vain');
  for (const sql of [
    'select hidden from shown;',
    'select upper(hidden) from shown;',
    'select (s).hidden from shown s;',
    'with shown2 as (select * from shown) select a from shown2 as t (a);',
    'with shown as (select * from shown) select hidden from shown;',
    'select one_of(1);',
    'select b from as_view();',
    'copy (select hidden from shown) to stdout;',
    'copy (select one_of(1)) to stdout;',
    'copy people to stdout;',
    'declare c cursor for select hidden from shown; fetch all c;',
    "select name, ssn from people where ssn = '078-05-1120'; select name, ssn::int from people;",
  ]) {
    const said = await say(`begin; ${sql} commit;`);
    t.strictSame(
      SECRETS.filter((secret) => said.includes(secret)),
      [],
      `${sql}: ${said.slice(0, 200)}`,
    );
    t.not(said, '', `${sql} is answered`);
  }
  const plain = await say(
    "select 1, current_setting('server_encoding'); show search_path;\n\\dt public.others",
  );
  t.match(plain, /^1\|UTF8\n/, 'what is of no table passes');
  t.match(plain, /public\|others\|table\|postgres/, 'and so does what psql asks of the catalog');
  t.match(await server.wholeLog(), /permission denied for table pg_depend/, 'it was asked');
  await close();
});

t.test(
  'a transaction that makes tables sees what is in them, and no more of the others than before',
  async (t) => {
    for (const masks of [
      [CARDS, { ...SSN, strict: true }],
      [CARDS, SSN],
    ]) {
      const { say, close } = await another(t, masks, 'postgres');
      const said = await say(`
      begin;
      create table made (id serial, version int, applied timestamptz default 'epoch', name text);
      insert into made (version, name) values (7, 'first') returning version, name;
      select version, upper(name), applied is not null from made;
      savepoint a; alter table made add column note text; rollback to a;
      select * from shown where id = 1;
      select version from made;
      copy made (version, name) to stdout;
      rollback;
      select upper(hidden) from shown where id = 1;
      select name from people where id = 1;`);
      t.strictSame(said.trim().split('\n'), [
        '7|first',
        '7|FIRST|t',
        '|********',
        '7',
        '7\tfirst',
        '********',
        'Ada',
      ]);
      await close();
    }
  },
);

t.test('a column is meant by its name in whatever encoding the agent asked for', async (t) => {
  await server.psql(`
    create table "maße" (id int, "größe" text); insert into "maße" values (1, '078-05-1120');
    create view measured as select id, "größe" as plain from "maße";`);
  const masks = [{ ...SSN, columns: [{ schema: null, table: 'maße', column: 'größe' }] }];
  for (const encoding of ['UTF8', 'LATIN1', 'WIN1252', 'LATIN9']) {
    const { say, close } = await another(t, masks, 'postgres', encoding);
    const said = await say(
      String.raw`
      select plain from measured; select U&"gr\00F6\00DFe" || '' from U&"ma\00DFe"; table U&"ma\00DFe";
      \set said ~printf 'select "gr\366\337e"||chr(46) from "ma\337e"'~
      :said ; select 'answered';`.replaceAll('~', '`'),
    );
    t.notMatch(said, /078-05-1120/, encoding);
    t.match(said, /answered/);
    await close();
  }
});

t.test('the same, without masks, gives them away', async (t) => {
  const plain = await server.psql('select ssn from people order by id;');
  t.equal(plain.stdout, '078-05-1120\n219-09-9999\n333-22-4444\n');
});

/** A proxy that nobody else has asked through, and what psql hears of it. */
async function another(t: Tap, masks: readonly CompiledMask[], user: string, encoding = 'UTF8') {
  const own = mkdtempSync('/tmp/sluice-attacks-');
  chmodSync(own, 0o755);
  const through = await MaskingProxy.start(own, server.socket, masks);
  const say = async (sql: string): Promise<string> => {
    const { stdout, stderr } = await server.psql(sql, { host: own, user, encoding });
    return stdout + stderr;
  };
  const close = async (): Promise<void> => {
    t.strictSame(through.errors, [], 'no flow was ended for it');
    await through.stop();
    rmSync(own, { recursive: true, force: true });
  };
  return { say, close };
}
