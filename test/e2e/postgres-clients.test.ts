/**
 * Clients of other makes than PostgreSQL's, each in the ways it has: through rules and masks that match nothing they see what they
 * see without Sluice; through some that do, exactly what is meant is masked, and what is denied is an error of their own with
 * SQLSTATE 42501 after which they go on.
 *
 * A program of `test/support/clients` says what it sees, `name: value` a line; lines of `denied` say a SQLSTATE.
 */
import { existsSync, globSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { run } from '#test/support/command.ts';
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

await field.psql(
  'direct',
  `create table people (id int primary key, ssn text, card bigint, note text, extra jsonb, tags text[], nums int8[], raw bytea,
     born date, price numeric);
   insert into people values
     (1, '078-05-1120', 4111111111111111, 'pays by 4111 1111 1111 1111', '{"n": 4111111111111111}', '{x,y}',
       '{1,4111111111111111}', 'cash', '1815-12-10', 1.50),
     (2, '219-09-9999', 7, 'cash', null, '{}', null, 'x', null, null);
   create table spare (a int);
   create table iso (a int primary key, b text);`,
);

const programs = join(import.meta.dirname, '../support/clients');
const root = join(import.meta.dirname, '../..');
const PYTHON = '/usr/bin/python3';
/** What Go has compiled is kept: it takes half a minute. */
const GO = {
  GO111MODULE: 'off',
  GOPATH: '/usr/share/gocode',
  GOCACHE: '/var/cache/sluice-test/go',
  GOFLAGS: '',
};
const GO_DRIVER = `${GO.GOPATH}/src/github.com/jackc/pgx`;
const goProgram = join(field.world.dir, 'go-client');

async function buildGo(): Promise<void> {
  const go = ['/usr/local/go/bin/go', '/usr/bin/go'].find((path) => existsSync(path));
  if (go === undefined || !existsSync(GO_DRIVER)) return;
  const built = await run([go, 'build', '-o', goProgram, join(programs, 'go-client.go')], {
    env: GO,
    timeoutMs: 200_000,
  });
  if (built.code !== 0) throw new Error(built.stderr);
}
await buildGo();

interface Client {
  readonly name: string;
  /** Without it the client is not there. */
  readonly needs: string;
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Lines in which numbers become NULL: what is declared and touches a masked column covers all that comes after. */
  readonly covered?: RegExp;
}

const CLIENTS: readonly Client[] = [
  {
    name: 'psycopg 3',
    needs: '/usr/lib/python3/dist-packages/psycopg',
    argv: [PYTHON, 'psycopg-client.py'],
    covered: /^after/,
  },
  { name: 'asyncpg', needs: '/usr/lib/python3/dist-packages/asyncpg', argv: [PYTHON, 'asyncpg-client.py'] },
  {
    name: 'ODBC',
    needs: '/usr/lib/x86_64-linux-gnu/odbc/psqlodbcw.so',
    argv: [PYTHON, 'odbc-client.py'],
    covered: /^declared, (?:after|usable|many)/,
  },
  {
    name: 'node-postgres',
    needs: join(root, 'node_modules/pg'),
    argv: [process.execPath, '--no-deprecation', 'node-client.mjs'],
  },
  {
    name: 'JDBC',
    needs: '/usr/share/java/postgresql.jar',
    argv: ['java', '-cp', '/usr/share/java/postgresql.jar', 'JdbcClient.java'],
  },
  { name: 'Go: pgx and lib/pq', needs: goProgram, argv: [goProgram] },
];

const SECRET = /078-05-1120|219-09-9999|4111 ?1111 ?1111 ?1111/;

/** What is to be seen of a line. */
function masked(line: string): string {
  return line
    .replace(/\b4111111111111111\b/g, 'null')
    .replaceAll('4111 1111 1111 1111', '**** **** **** 1111')
    .replaceAll(/078-05-1120|219-09-9999/g, '********');
}

/** Ways of writing NULL, and of quoting in CSV and arrays, in which a masked value may differ from one that was there. */
const alike = (line: string): string =>
  line
    .replace(/NULL/g, 'null')
    .replace(/\\?"/g, '')
    .replace(/\[true, true\]/, '[false, false]');

for (const { name, needs, argv, env = {}, covered } of CLIENTS) {
  const skip = !existsSync(needs) && `${needs} is missing: scripts/lib/setup --clients`;
  t.test(name, { skip }, async (t) => {
    const said = async (way: Way): Promise<string[]> => {
      const command = argv.map((part) => (/^\w+-?\w*\.\w+$/.test(part) ? join(programs, part) : part));
      const done = await field.run(way, command, { env });
      t.equal(done.code, 0, `${way}: ${done.stderr}`);
      return done.stdout.trim().split('\n');
    };
    const isDenied = (line: string): boolean => line.startsWith('denied ');
    const rest = (lines: readonly string[]): string[] => lines.filter((line) => !isDenied(line));
    const states = (lines: readonly string[]): string[] =>
      lines.filter(isDenied).map((line) => line.replace(/.*: /, '').replaceAll('"', ''));

    const direct = await said('direct');
    t.ok(direct.length > 20);
    t.match(direct.join('\n'), SECRET);
    t.strictSame(rest(await said('quiet')), rest(direct));

    const lines = await said('masked');
    t.notMatch(lines.join('\n'), SECRET);
    const plain = (all: readonly string[]): string[] =>
      rest(all).filter((line) => covered?.test(line) !== true);
    t.strictSame(
      plain(lines).map(alike),
      plain(direct).map((line) => alike(masked(line))),
    );
    t.ok(states(lines).length >= 5);
    t.ok(
      states(direct).every((state) => state === 'none'),
      'nothing else is wrong with what is denied',
    );
    for (const state of states(lines)) t.match(state, /^(?:42501|25P02)$/);
    t.ok(states(lines).filter((state) => state === '42501').length >= 5);
  });
}

t.test('pgbench under rules and masks, in every mode', async (t) => {
  const script = field.file(
    'select id, ssn, card from people where id = 1 + :client_id % 2;\nselect count(*) from spare;\n',
  );
  for (const way of ['quiet', 'masked'] as const)
    for (const mode of ['simple', 'extended', 'prepared']) {
      const done = await field.run(way, ['pgbench', '-n', '-M', mode, '-c', '4', '-t', '50', '-f', script]);
      t.match(done, { code: 0, stdout: /actually processed: 200\/200/ }, `${way} ${mode}: ${done.stderr}`);
    }
});

const [tester] = globSync('/usr/lib/postgresql/*/lib/pgxs/src/test/isolation/isolationtester');
t.test(
  'isolationtester, of PostgreSQL itself',
  { skip: tester === undefined && 'no isolationtester: postgresql-client-15, or newer, brings it' },
  async (t) => {
    // Of a table that is new to Sluice whole rows are masked until it has looked: this one was there before.
    const input = `
setup { insert into iso values (1, 'one'), (2, 'two'); }
teardown { delete from iso; }
session s1
setup { begin isolation level repeatable read; }
step r1 { select * from iso order by a; }
step w1 { update iso set b = 'first' where a = 1; }
step c1 { commit; }
session s2
setup { begin isolation level repeatable read; }
step r2 { select a, b from iso order by a; }
step w2 { update iso set b = 'second' where a = 1; }
step e2 { select 1 / (a - 1) from iso; }
step c2 { commit; }
permutation r1 r2 w1 w2 c1 c2
permutation w1 w2 c1 c2
permutation r1 c1 e2 c2
permutation w2 w1 c2 c1
`;
    const direct = await field.run('direct', [tester ?? '', ''], { input });
    t.match(direct, { code: 0, stdout: /waiting/ }, direct.stderr);
    const { stdout, stderr } = await field.run('quiet', [tester ?? '', ''], { input });
    t.strictSame([stdout, stderr], [direct.stdout, direct.stderr]);
  },
);
