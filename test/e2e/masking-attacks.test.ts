/**
 * Ways to get a masked value out of a real PostgreSQL, each named, as somebody would try them who may do anything there: no answer,
 * error or notice may hold it. Without the kernel plane and TLS, over Unix sockets.
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
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

t.test('the same, without masks, gives them away', async (t) => {
  const plain = await server.psql('select ssn from people order by id;');
  t.equal(plain.stdout, '078-05-1120\n219-09-9999\n333-22-4444\n');
});
