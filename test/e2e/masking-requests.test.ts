/**
 * Masks on what real clients send to a real PostgreSQL: the server's own log and what is in its tables, read by an agent without
 * masks, are the judges.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { PLAIN_SCHEMA } from '#test/support/plain-schema.ts';
import { psqlThrough } from '#test/support/psql.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS, worldPolicy } from '#test/support/world-policy.ts';

t.setTimeout(240_000);
const world = await World.open();
t.teardown(() => world.close());
const key = join(world.dir, 'mask.key');
writeFileSync(key, '0123456789abcdef0123456789abcdef0123456789abcdef', { mode: 0o600 });
const held = `agents: [${AGENTS.shop}], destinations: [db]`;
const masks = `mask_keys: [{ name: k, file: ${key} }]
masks:
  - { name: cards, ${held}, direction: requests, detect: [card], action: partial, keep_last: 4 }
  - { name: ssn, ${held}, direction: requests, columns: [people.ssn] }
  - { name: mail, ${held}, direction: both, detect: [email], action: hash, key: k }
`;
const sluice = await TestSluice.start(world, { policy: worldPolicy(world, { more: masks }) });

const { connection, env, fileOf, psql } = psqlThrough(sluice);

/** What is in the database, as nobody masks it. */
async function stored(sql: string): Promise<string> {
  const done = await psql(AGENTS.stock, `${sql};`);
  t.equal(done.stderr, '', sql);
  return done.stdout;
}

const made = await psql(
  AGENTS.stock,
  `create table people (id int primary key, name text, ssn text, card bigint, note text, extra jsonb, tags text[], raw bytea);
   create table notes (id int, note text, by text);`,
);
t.equal(made.stderr, '');

/** Of none of it anything came to the server. */
const SECRETS = ['4111111111111111', '4111 1111 1111 1111', '078-05-1120', 'ada@example.org', 'SSN-MARK'];

t.test('psql: statements, comments and names', async (t) => {
  const done = await psql(
    AGENTS.shop,
    `insert into people (id, name, ssn, card, note, extra, tags, raw) values
       (1, 'Ada', '078-05-1120', 4111111111111111, E'it''s \\x34111 1111 1111 1111', '{"c": "\\u0034111111111111111"}',
        array['x', '4111111111111111'], '\\x34313131313131313131313131313131');
     insert into notes (id, note, by) values (1, U&'\\0034111111111111111', 'ada@example.org'), (2, $x$pays 4111111111111111$x$, 'b');
     select 1 /* 4111111111111111 */; -- 4111111111111111
     do $$ begin insert into notes (id, note) values (3, '4111111111111111'); end $$;
     select 1 as "4111111111111111";
     insert into people values (9, 'x');
     selec '4111111111111111';
     begin; select 1 as "4111111111111111"; select 'aborted'; rollback;
     set standard_conforming_strings = off;
     select count(*) from notes where by = 'ada@example.org';
     select by from notes where id = 1;`,
  );
  t.match(done.stderr, /42501: Sluice: what is to be masked stands where it cannot be/);
  t.match(done.stderr, /42501: Sluice: values for a table with masked columns/);
  t.match(done.stderr, /42601/);
  t.match(done.stderr, /25P02/, 'the block is aborted');
  t.match(done.stdout, /^1\n1\n(?:k_[a-z2-7]{26})\n$/m, 'a hash is found by what it is of');
  t.equal(
    await stored('select * from people where id = 1'),
    `1|Ada|********||it's **** **** **** 1111|{"c": "************1111"}|{x,************1111}|\\x${'2a'.repeat(12)}31313131\n`,
  );
  t.match(
    await stored('select id, note, by from notes order by id'),
    /^1\|\*{12}1111\|k_[a-z2-7]{26}\n2\|pays \*{12}1111\|b\n3\|\*{12}1111\|\n$/,
  );
});

t.test('psql: COPY in every format, and what a session begins with', async (t) => {
  const data = (name: string, content: string): string => {
    const path = join(world.dir, name);
    writeFileSync(path, content, { mode: 0o644 });
    return path;
  };
  const rows = data(
    'rows',
    '10\tAda\t078-05-1120\tpays 4111111111111111\n11\tBob\t\\N\t\\x34111111111111111\n',
  );
  const csv = data('csv', 'id,ssn,note\r\n12,"SSN-MARK","a ""4111111111111111""\r\nb"\r\n');
  const done = await psql(
    AGENTS.shop,
    `\\copy people (id, name, ssn, note) from '${rows}'
     \\copy people (id, ssn, note) from '${csv}' (format csv, header)
     copy people (id, ssn, note) from stdin;
13\tSSN-MARK\t4111 1111 1111 1111
\\.
     select application_name from pg_stat_activity where pid = pg_backend_pid();
     \\copy (select 14, 'x'::text, '************1111'::text) to '${join(world.dir, 'out.bin')}' (format binary)
     \\copy people (id, name, note) from '${join(world.dir, 'out.bin')}' (format binary)
     \\lo_import ${rows}`,
    `${connection} application_name='for 4111111111111111' options='-c a.b=4111111111111111'`,
  );
  t.equal(done.stderr, '');
  t.match(done.stdout, 'for ************1111');
  t.equal(
    await stored('select id, name, ssn, note from people where id between 10 and 14 order by id'),
    '10|Ada|********|pays ************1111\n11|Bob||************1111\n12||********|a "************1111"\r\nb\n13||********|**** **** **** 1111\n14|x||************1111\n',
  );
  t.match(
    await stored("select convert_from(lo_get(max(oid)), 'UTF8') from pg_largeobject_metadata"),
    /pays \*{12}1111/,
  );
});

t.test('psycopg 3: text and binary, prepared, pipelined, COPY', async (t) => {
  const script = fileOf(`import psycopg, sys
from psycopg.types.json import Jsonb
card = '4111111111111111'
with psycopg.connect(sys.argv[1], autocommit=True, prepare_threshold=1) as c:
    for binary in (False, True):
        n = 20 + 10 * binary
        f = '%b' if binary else '%t'
        for i in range(3):
            c.execute(f"insert into people (id, name, ssn, card, note, extra, tags, raw) values ({', '.join([f] * 8)})",
                (n + i, 'Ada', '078-05-1120', int(card), 'pays ' + card, Jsonb({'c': card, 'n': int(card)}), ['x', card], b'\\0' + card.encode()))
        c.execute(f"update people set ssn = {f} where id = {f}", ('SSN-MARK', n))
    with c.pipeline():
        many = [c.execute("insert into notes (id, note, by) values (%s, %s, %s) returning id", (i, card, 'ada@example.org')) for i in range(40, 50)]
        print([each.fetchone()[0] for each in many])
    with c.cursor() as cur:
        for form in ('text', 'binary'):
            with cur.copy(f"copy people (id, ssn, card, note) from stdin (format {form})") as data:
                data.set_types(['int4', 'text', 'int8', 'text'])
                data.write_row((50 + (form == 'binary'), '078-05-1120', None if form == 'text' else int(card), card))
    print(c.execute("select count(*) from notes where by = %s", ('ada@example.org',)).fetchone())
    print(c.execute("select count(*) from people where note = %b", ('x' * 3000000 + ' ' + card,)).fetchone())
    c.execute("insert into people (id, note) values (60, %s)", ('x' * 3000000 + ' ' + card,))
    try:
        c.execute('select 1 as "4111111111111111"')
    except psycopg.errors.InsufficientPrivilege as e:
        print('denied')
    print(c.execute("select 1").fetchone())
`);
  const done = await sluice.run(AGENTS.shop, ['/usr/bin/python3', script, connection], { env });
  t.equal(done.stderr, '');
  t.equal(done.stdout, '[40, 41, 42, 43, 44, 45, 46, 47, 48, 49]\n(11,)\n(0,)\ndenied\n(1,)\n');
  const row = (id: number): string =>
    `${id}|Ada|********||pays ************1111|{"c": "************1111", "n": null}|{x,************1111}|\\x00${'2a'.repeat(12)}31313131\n`;
  for (const first of [20, 30])
    t.equal(
      await stored(`select * from people where id between ${first} and ${first + 2} order by id`),
      row(first) + row(first + 1) + row(first + 2),
    );
  t.equal(
    await stored('select count(*), count(distinct by), min(note) from notes where id >= 40'),
    '10|1|************1111\n',
  );
  t.equal(
    await stored('select id, ssn, card, note from people where id in (50, 51) order by id'),
    '50|********||************1111\n51|********||************1111\n',
  );
  t.equal(
    await stored('select length(note), right(note, 17) from people where id = 60'),
    '3000017| ************1111\n',
  );
});

t.test('pgbench in each of its modes, and DBD::Pg', async (t) => {
  const file = fileOf("insert into notes (id, note) values (100 + :client_id, '4111111111111111');\n");
  for (const mode of ['simple', 'extended', 'prepared']) {
    const argv = ['pgbench', '-n', '-M', mode, '-c', '4', '-t', '20', '-f', file, connection];
    t.match(await sluice.run(AGENTS.shop, argv, { env }), { code: 0, stdout: /actually processed: 80\/80/ });
  }
  const perl = fileOf(`use DBI;
my $db = DBI->connect("dbi:Pg:" . join(";", split(/ /, $ARGV[0])), undef, undef, { RaiseError => 1, pg_server_prepare => 1 });
my $s = $db->prepare("insert into people (id, ssn, note) values (?, ?, ?)");
$s->execute($_, "078-05-1120", "pays 4111111111111111") for (70, 71);
`);
  t.match(await sluice.run(AGENTS.shop, ['perl', perl, connection], { env }), { code: 0, stderr: '' });
  t.equal(
    await stored('select id, ssn, note from people where id in (70, 71) order by id'),
    '70|********|pays ************1111\n71|********|pays ************1111\n',
  );
  t.equal(
    await stored('select count(*), count(distinct note), min(note) from notes where id between 100 and 103'),
    '240|1|************1111\n',
  );
});

t.test('a database of every type that is loaded through masks that find nothing is the same', async (t) => {
  t.equal((await psql(AGENTS.stock, PLAIN_SCHEMA)).stderr, '');
  const path = fileOf('');
  const dump = async (): Promise<string> => {
    const argv = ['pg_dump', '--no-owner', '-n', 'plain', '-b', '-f', path, connection];
    t.equal((await sluice.run(AGENTS.stock, argv, { env })).stderr, '');
    return readFileSync(path, 'utf8').replace(/^\\(?:un)?restrict .*\n/gm, '');
  };
  const before = await dump();
  t.ok(before.length > 3_000_000);
  const objects = 'select lo_unlink(oid) from pg_largeobject_metadata;';
  await psql(AGENTS.stock, `drop schema plain cascade; ${objects}`);
  const loaded = await sluice.run(AGENTS.shop, ['psql', '-Xq', '-f', path, connection], { env });
  t.equal(loaded.stderr, '');
  t.ok((await dump()) === before);
});

t.test("nothing of it is in the server's log, and the record counts it", async (t) => {
  await stored("select 'the last'");
  await world.postgres.waitForLog(/statement: select 'the last'/);
  const { log } = world.postgres;
  t.match(log, /\*{12}1111/, 'statements are logged');
  for (const secret of SECRETS) t.notOk(log.includes(secret), secret);
  const record = await sluice.waitForFlow(({ masks }) => (masks?.masked ?? 0) > 20);
  t.match(record, { reason: 'ok', operations: null });
});
