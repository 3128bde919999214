/**
 * Ways to get a value for a masked column past masks on requests, each named, as somebody would try them who may do anything: what a
 * real PostgreSQL logs, and what is in its table, are the judges. Without the kernel plane and TLS, over Unix sockets.
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { loadParser } from '#src/protocols/postgres/parser.ts';
import { run } from '#test/support/command.ts';
import { MaskingProxy } from '#test/support/masking-proxy.ts';
import { SSN } from '#test/support/masks.ts';
import { ScratchPostgres } from '#test/support/scratch-postgres.ts';

t.setTimeout(240_000);
await loadParser();
const server = await ScratchPostgres.start({ log_statement: 'all' });
t.teardown(() => server.stop());
const dir = mkdtempSync('/tmp/sluice-attacks-');
t.teardown(() => rmSync(dir, { recursive: true, force: true }));
chmodSync(dir, 0o755);
const masks = [{ ...SSN, direction: 'requests' as const, strict: true }];
const proxy = await MaskingProxy.start(dir, server.socket, masks);
t.teardown(() => proxy.stop());
/** Digits and dashes of it, and as a number. */
const SECRET = /078-05-1120|78051120/;

const made = await server.psql(`
  create table people (id int primary key, name text, ssn text);
  create table others (id int, x text);
  create table heir () inherits (people);
  create view shown as select id, ssn as hidden from people;
  create function same(text) returns text language sql immutable as 'select $1';
  create function joined(text, text) returns text language sql immutable as 'select $1 || $2';
  create function is_same(text, text) returns bool language sql immutable as 'select $1 = $2';
  create operator ||| (leftarg = text, rightarg = text, function = joined);
  create operator === (leftarg = text, rightarg = text, function = is_same);
  create type wrapped as (x text);
  create domain ssn_domain as text;
  create function put_ssn(text) returns void language sql as 'insert into people (id, ssn) values (1, $1)';
  create view instead as select 1 as a, 'x'::text as b;
  create function put_row() returns trigger language plpgsql as
    'begin insert into people (id, ssn) values (new.a, new.b); return new; end';
  create trigger instead instead of insert on instead for each row execute function put_row();
  create table copied (id int, x text);
  create function copy_row() returns trigger language plpgsql as
    'begin insert into people (id, ssn) values (new.id, new.x); return new; end';
  create trigger copies before insert on copied for each row execute function copy_row();`);
t.equal(made.stderr, '');

/** Whether the server has heard of it since, or has it. */
async function heard(logged: number): Promise<boolean> {
  const { stdout } = await server.psql('select ssn from people; truncate people, others;');
  return SECRET.test((await server.wholeLog()).slice(logged)) || SECRET.test(stdout);
}

t.test('no way brings it to the server that is not known', async (t) => {
  const file = join(import.meta.dirname, '../fixtures/postgres/attacks-requests.txt');
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  t.ok(lines.length >= 70, `${lines.length} attacks`);
  for (const line of lines) {
    const [, name = '', holds = '', sql = ''] = /^(.+?) \| (closed|known) \| (.*)$/.exec(line) ?? [];
    const { length: logged } = await server.wholeLog();
    const { stdout, stderr } = await server.psql(sql.replaceAll('⏎', '\n'), { host: dir });
    t.equal(await heard(logged), holds === 'known', `${name}: ${(stdout + stderr).slice(0, 200)}`);
  }
  t.strictSame(proxy.errors, [], 'no flow was ended for it');
});

t.test('where results are masked as well a view of the column is known', async (t) => {
  const own = mkdtempSync('/tmp/sluice-attacks-');
  t.teardown(() => rmSync(own, { recursive: true, force: true }));
  chmodSync(own, 0o755);
  const both = await MaskingProxy.start(own, server.socket, [{ ...SSN, direction: 'both', strict: true }]);
  t.teardown(() => both.stop());
  for (const sql of [
    "insert into shown (id, hidden) values (1, '078-05-1120')",
    "insert into shown (hidden, id) select * from unnest('{078-05-1120}'::text[], '{1}'::int[])",
    "update shown set hidden = '078-05-1120'",
    "merge into shown using (values ('078-05-1120')) v (s) on true when matched then update set hidden = s",
    'copy shown (id, hidden) from stdin;\n1\t078-05-1120\n\\.',
  ]) {
    const { length: logged } = await server.wholeLog();
    const { stderr } = await server.psql(`select 1;\n${sql};\n`, { host: own });
    t.match(
      stderr,
      /42501: Sluice: (?:values are given to a view|the statement would take masked values)/,
      sql,
    );
    t.notOk(await heard(logged), sql);
  }
  const { length: logged } = await server.wholeLog();
  const heirs = await server.psql(
    `insert into heir (id, ssn) values (1, '078-05-1120'); insert into heir (id, ssn) select * from unnest('{2}'::int[], '{078-05-1120}'::text[]);
     copy heir (id, ssn) from stdin;\n3\t078-05-1120\n\\.\ninsert into heir values (4, 'n', '078-05-1120');`,
    { host: own },
  );
  t.match(heirs.stderr, /42501: Sluice: values for a table with masked columns/, 'an heir without names');
  const { stdout: inherited } = await server.psql('select id, ssn from heir order by id;');
  t.equal(inherited, '1|********\n2|********\n3|********\n', 'an heir has the column');
  t.notOk(await heard(logged));
  const written =
    "insert into others values (1, 'x'); select id from others; select count(*) from shown where id = 1;";
  const { stdout, stderr } = await server.psql(written, { host: own });
  t.match(stdout + stderr, /^1\n/, 'others are written');
  t.notMatch(stderr, /42501/, 'and it is read');
  await heard(0);
  t.strictSame(both.errors, []);
});

t.test('psycopg 3: arrays, lists of values and prepared statements, in text and in binary', async (t) => {
  const script = join(dir, 'values.py');
  writeFileSync(
    script,
    `import psycopg, sys
ssn = '078-05-1120'
with psycopg.connect(sys.argv[1], autocommit=True, prepare_threshold=1) as c:
    for n, f in ((0, '%t'), (100, '%b')):
        for k in (0, 10):
            i = n + k
            c.execute(f"insert into people (id, ssn) select * from unnest({f}::int[], {f}::text[])", ([i + 1, i + 2], [ssn, None]))
            c.execute(f"insert into people (id, ssn) select v.i, v.s from (values ({f}::int, {f}::text)) v (i, s)", (i + 3, ssn))
            c.execute(f"insert into people (id, ssn) select {f}::int, {f}", (i + 4, ssn))
            c.execute(f"with v (i, s) as (values ({f}::int, {f}::text)) insert into people (id, ssn) select i, s from v", (i + 5, ssn))
            c.execute(f"insert into people (id, name) values ({f}, 'n')", (i + 6,))
            c.execute(f"update people p set ssn = v.s from (values ({f}::int, {f}::text)) v (i, s) where v.i = p.id", (i + 6, ssn))
            c.execute(f"merge into people p using (values ({f}::int, {f}::text)) v (i, s) on p.id = v.i when not matched then insert (id, ssn) values (v.i, v.s)", (i + 7, ssn))
    with c.cursor() as cur:
        cur.executemany("insert into people (id, ssn) select %s, %s", [(201, ssn), (202, ssn)])
    for sql in ("insert into people (id, ssn) select id, ssn from json_to_recordset(%s) as x (id int, ssn text)",
                "insert into people select * from jsonb_populate_recordset(null::people, %s)"):
        try:
            c.execute(sql, ('[{"id": 300, "ssn": "' + ssn + '"}]',))
        except psycopg.errors.InsufficientPrivilege as e:
            print(e.diag.message_primary)
`,
  );
  const { length: logged } = await server.wholeLog();
  const connection = `host=${dir} port=5432 user=postgres dbname=shop sslmode=disable`;
  const done = await run(['/usr/bin/python3', script, connection]);
  t.equal(done.stderr, '');
  t.equal(
    done.stdout,
    'Sluice: which of the values is for a masked column cannot be followed\nSluice: values for a table with masked columns are given without saying for which columns\n',
  );
  const { stdout } = await server.psql('select ssn, count(*) from people group by ssn order by ssn;');
  t.equal(stdout, '********|26\n|4\n');
  t.notOk(await heard(logged));
});
