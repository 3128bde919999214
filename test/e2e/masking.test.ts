/**
 * Masks on what a real PostgreSQL answers to real clients: what a client prints is the judge.
 */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { PLAIN_SCHEMA } from '#test/support/plain-schema.ts';
import { psqlThrough } from '#test/support/psql.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS, worldPolicy } from '#test/support/world-policy.ts';

t.setTimeout(240_000);
const world = await World.open();
t.teardown(() => world.close());
const masks = `masks:
  - { name: cards, agents: [${AGENTS.shop}], destinations: [db], detect: [card], action: partial, keep_last: 4 }
  - { name: ssn, agents: [${AGENTS.shop}], destinations: [db], columns: [people.ssn] }
`;
const sluice = await TestSluice.start(world, { policy: worldPolicy(world, { more: masks }) });

const { connection, env, fileOf, psql } = psqlThrough(sluice);

const made = await psql(
  AGENTS.stock,
  `create table people (id int primary key, name text, ssn text unique, card bigint, note text, extra jsonb,
     tags text[], nums int8[], raw bytea);
   insert into people values
     (1, 'Ada', '078-05-1120', 4111111111111111, 'pays by 4111 1111 1111 1111',
       '{"card": "4111111111111111", "n": 4111111111111111}', '{x,4111111111111111}', '{1,4111111111111111}', 'card 4111111111111111'),
     (2, 'Bob', '219-09-9999', 7, 'cash', '{"n": 2}', '{y}', '{1,2}', 'x');
   create table others (id int, ssn text);
   insert into others values (1, 'not theirs');
   create view shown as select id, ssn as hidden from people;`,
);
t.equal(made.stderr, '');

const SECRET = /078-05-1120|219-09-9999|4111 ?1111 ?1111 ?1111/;

t.test('psql', async (t) => {
  const cases: [string, string][] = [
    ['select id, card, note from people order by id', '1||pays by **** **** **** 1111\n2|7|cash\n'],
    [
      'select extra, tags, nums from people where id = 1',
      '{"n": null, "card": "************1111"}|{x,"************1111"}|{1,NULL}\n',
    ],
    ["select encode(raw, 'escape') from people where id = 2", 'x\n'],
    ['select ssn, ssn as x from people where id = 1', '********|********\n'],
    ["select upper(ssn), 'x' from people where id = 1", '********|********\n'],
    ['select hidden from shown where id = 1', '********\n'],
    ['select ssn from others', 'not theirs\n'],
    ['copy people (id, name, ssn) to stdout', '1\tAda\t********\n2\tBob\t********\n'],
    [
      'copy (select id, ssn from people where id = 1) to stdout (format csv, header)',
      'id,ssn\n1,"********"\n',
    ],
    ["select repeat('x', 3000000) || ' 4111111111111111'", `${'x'.repeat(3_000_000)} ************1111\n`],
  ];
  for (const [sql, expected] of cases) {
    const done = await psql(AGENTS.shop, `${sql};`);
    t.equal(done.stderr, '', sql);
    t.ok(done.stdout === expected, `${sql}: ${done.stdout.slice(-200)}`);
  }
  const untouched = await psql(AGENTS.stock, 'select ssn, card from people where id = 1;');
  t.equal(untouched.stdout, '078-05-1120|4111111111111111\n', 'another agent has no masks');
});

t.test('psql: what the server says in words', async (t) => {
  const done = await psql(
    AGENTS.shop,
    `insert into people (id, ssn) values (3, '078-05-1120');
     select ssn::int from people;
     do $$ begin raise notice 'see 4111111111111111'; end $$;
     select 'still here';`,
  );
  t.match(done.stderr, /23505: duplicate key.*people_ssn_key/);
  t.match(done.stderr, /DETAIL: {2}withheld by Sluice/);
  t.match(done.stderr, /22P02: withheld by Sluice/);
  t.notMatch(done.stderr, SECRET);
  t.equal(done.stdout, 'still here\n');
});

t.test('pgbench, prepared once and executed again and again', async (t) => {
  const file = fileOf('select id, ssn, card from people where id = 1 + :client_id % 2;\n');
  for (const mode of ['simple', 'extended', 'prepared']) {
    const argv = ['pgbench', '-n', '-M', mode, '-c', '4', '-t', '100', '-f', file, connection];
    const done = await sluice.run(AGENTS.shop, argv, { env });
    t.match(done, { code: 0, stdout: /actually processed: 400\/400/ }, done.stderr);
  }
});

t.test('psycopg 3: text and binary, prepared, pipelined, COPY in both directions', async (t) => {
  const script = fileOf(`import psycopg, sys
with psycopg.connect(sys.argv[1], autocommit=True, prepare_threshold=1) as c:
    for binary in (False, True):
        with c.cursor(binary=binary) as cur:
            for time in range(3):
                cur.execute("select id, ssn, card, extra, tags, nums, raw from people where id > %s order by id", (0,))
                print(cur.fetchall())
    with c.pipeline():
        many = [c.execute("select id, ssn from people where id = %s", (i,)) for i in (1, 2)]
        print([each.fetchall() for each in many])
    with c.cursor() as cur:
        with cur.copy("copy people (id, ssn, note) to stdout (format binary)") as data:
            data.set_types(['int4', 'text', 'text'])
            print(list(data.rows()))
        with cur.copy("copy others (id, ssn) from stdin") as data:
            data.write_row((5, 'in'))
    print(c.execute("select count(*) from others").fetchall())
`);
  const done = await sluice.run(AGENTS.shop, ['/usr/bin/python3', script, connection], { env });
  t.equal(done.stderr, '');
  t.notMatch(done.stdout, SECRET);
  const lines = done.stdout.split('\n');
  for (const line of lines.slice(0, 6)) {
    t.equal(
      line,
      "[(1, '********', None, {'n': None, 'card': '************1111'}, ['x', '************1111'], [1, None], b'card ************1111'), (2, '********', 7, {'n': 2}, ['y'], [1, 2], b'x')]",
    );
  }
  t.strictSame(lines.slice(6, 9), [
    "[[(1, '********')], [(2, '********')]]",
    "[(1, '********', 'pays by **** **** **** 1111'), (2, '********', 'cash')]",
    '[(2,)]',
  ]);
});

t.test('psycopg2 with a cursor of the server, and DBD::Pg that describes once', async (t) => {
  const python = fileOf(`import psycopg2, sys
c = psycopg2.connect(sys.argv[1])
cur = c.cursor('c')
cur.itersize = 1
cur.execute("select id, ssn, card from people order by id")
print(cur.fetchall())
`);
  const first = await sluice.run(AGENTS.shop, ['/usr/bin/python3', python, connection], { env });
  t.match(first, { stderr: '', stdout: "[(1, '********', None), (2, '********', 7)]\n" });
  const perl = fileOf(`use DBI;
my $db = DBI->connect("dbi:Pg:" . join(";", split(/ /, $ARGV[0])), undef, undef, { RaiseError => 1, pg_server_prepare => 1 });
my $statement = $db->prepare("select id, ssn, card from people where id = ?");
for my $id (1, 2, 1) { $statement->execute($id); print join("|", map { $_ // "NULL" } $statement->fetchrow_array), "\\n"; }
`);
  const second = await sluice.run(AGENTS.shop, ['perl', perl, connection], { env });
  t.match(second, { stderr: '', stdout: '1|********|NULL\n2|********|7\n1|********|NULL\n' });
});

const withoutToken = (dump: string): string => dump.replace(/^\\(?:un)?restrict .*\n/gm, '');

t.test(
  'a dump through masks that find nothing is the same as one without, large objects and all',
  async (t) => {
    await psql(AGENTS.stock, PLAIN_SCHEMA);
    const dump = async (agent: string, ...options: string[]) => {
      const path = fileOf('');
      const argv = ['pg_dump', '--no-owner', '-n', 'plain', '-b', ...options, '-f', path, connection];
      const done = await sluice.run(agent, argv, { env });
      t.equal(done.stderr, '', options.join(' '));
      return withoutToken(readFileSync(path, 'utf8'));
    };
    for (const options of [[], ['--inserts']]) {
      const plain = await dump(AGENTS.stock, ...options);
      t.ok(plain.length > 3_000_000);
      t.ok((await dump(AGENTS.shop, ...options)) === plain, options.join(' '));
    }
  },
);

t.test('a dump through masks that find something can be loaded again, and is masked', async (t) => {
  const path = fileOf('');
  const argv = ['pg_dump', '--no-owner', '-t', 'people', '-f', path, connection];
  const done = await sluice.run(AGENTS.shop, argv, { env });
  t.equal(done.stderr, '');
  const dumped = readFileSync(path, 'utf8');
  t.notMatch(dumped, SECRET);
  // Masked values are no longer unique.
  const loading = dumped
    .replaceAll('public.people', 'public.people_again')
    .replace(/^ALTER TABLE(?:.|\n)*?;$/gm, '');
  const loaded = await psql(
    AGENTS.stock,
    `${loading}\nselect id, ssn, card, note, extra, nums from public.people_again order by id;`,
  );
  t.equal(
    loaded.stdout.trim().split('\n').slice(-2).join('\n'),
    '1|********||pays by **** **** **** 1111|{"n": null, "card": "************1111"}|{1,NULL}\n2|********|7|cash|{"n": 2}|{1,2}',
    loaded.stderr,
  );
});
