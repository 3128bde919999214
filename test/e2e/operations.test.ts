/**
 * Rules about what is asked inside a flow: statements of psql and pgbench, against a real PostgreSQL whose own log says
 * what it ran.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { psqlThrough } from '#test/support/psql.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS, worldPolicy } from '#test/support/world-policy.ts';

t.setTimeout(1_000_000);
const world = await World.open();
t.teardown(() => world.close());
const operations = `operations:
  - name: no-destruction
    agents: [${AGENTS.shop}]
    destinations: [db]
    effects: [schema-destruction, code, server-file, server-program]
    action: deny
    reason: Tables are taken down by people.
  - name: watch-sleep
    destinations: [db]
    functions: [pg_sleep]
    action: observe
`;
const rules = `
  - { name: replicating, agents: [${AGENTS.shop}], destinations: [db], action: allow, replication: true }`;
const policy = worldPolicy(world, { rules, more: operations });
const sluice = await TestSluice.start(world, { policy });

const { connection, env, psql } = psqlThrough(sluice);

t.test('a denied statement is told in SQL, is not run, and the session goes on', async (t) => {
  const done = await psql(
    AGENTS.shop,
    `create temp table kept_one (a int);
     insert into kept_one values (41);
     drop table kept_one;
     select a + 1 from kept_one;`,
  );
  t.match(done, { code: 0, stdout: '42\n' }, done.stderr);
  t.match(
    done.stderr,
    /ERROR: {2}42501: Sluice: DROP is denied by rule "no-destruction": Tables are taken down by people\.\n/,
  );
  t.notMatch(done.stderr, /sluice_denied|syntax error/);
  t.notMatch(world.postgres.log, /statement: .*drop table kept_one/i, 'the server never had it');
  const flow = await sluice.waitForFlow((f) => f.protocol === 'postgres' && f.agent === AGENTS.shop);
  t.match(flow, { disposition: 'upgraded', reason: 'ok', operations: { total: 4, denied: 1, observed: 0 } });
});

t.test('in a transaction block it aborts the block, as an error of the server does', async (t) => {
  const done = await psql(
    AGENTS.shop,
    `begin;
     select 'before';
     do $$ begin null; end $$;
     select 'inside';
     rollback;
     select 'after';`,
  );
  t.equal(done.stdout, 'before\nafter\n', done.stderr);
  t.match(done.stderr, /42501: Sluice: DO is denied/);
  t.match(done.stderr, /25P02: current transaction is aborted/);
});

t.test('one of several statements in one message takes the others with it', async (t) => {
  const argv = ['psql', '-XAtq', connection, '-c', 'select 1; truncate vault; select 2'];
  const done = await sluice.run(AGENTS.shop, argv, { env });
  t.match(done, { code: 1, stdout: '', stderr: /TRUNCATE is denied by rule "no-destruction"/ });
});

t.test(
  'prepared and pipelined statements are governed, and good ones are none the slower to be right',
  async (t) => {
    const file = join(world.dir, 'bench.sql');
    writeFileSync(file, "select secret, :client_id from vault where 'x' <> :client_id::text;\n", {
      mode: 0o644,
    });
    for (const mode of ['simple', 'extended', 'prepared']) {
      const argv = ['pgbench', '-n', '-M', mode, '-c', '4', '-t', '100', '-f', file, connection];
      const done = await sluice.run(AGENTS.shop, argv, { env });
      t.match(done, { code: 0, stdout: /number of transactions actually processed: 400\/400/ }, done.stderr);
    }
    writeFileSync(file, 'truncate vault;\n');
    const denied = await sluice.run(
      AGENTS.shop,
      ['pgbench', '-n', '-M', 'prepared', '-t', '1', '-f', file, connection],
      { env },
    );
    t.match(denied, { stderr: /TRUNCATE is denied by rule "no-destruction"/ });
  },
);

t.test('the same hidden in other words', async (t) => {
  for (const [text, code] of [
    ['/* select */ Drop/**/table if exists x', '42501'],
    ['select U&"pg\\005fread_file"(\'/etc/passwd\')', '42501'],
    ["copy (select 1) to program 'cat'", '42501'],
    ['set standard_conforming_strings = off', '42501'],
    ["set client_encoding = 'SJIS'", '42501'],
    ['selec 1', '42601'],
    [`select ${'('.repeat(40_000)}1${')'.repeat(40_000)}`, '(42601|54001)'],
  ] as const) {
    const done = await psql(AGENTS.shop, `${text};\nselect 'still here';\n`);
    t.match(done.stderr, new RegExp(`ERROR: {2}${code}: `), text.slice(0, 60));
    t.equal(done.stdout, 'still here\n', text.slice(0, 60));
  }
});

t.test('large rows and COPY pass as they are', async (t) => {
  const done = await psql(
    AGENTS.shop,
    `create temp table copied (a text);
     copy copied from stdin;
one\ttwo
\\.
     copy (select repeat('x', 1000) from generate_series(1, 20000)) to stdout;
     select length(repeat('y', 20000000));`.replace('one\ttwo', 'one two'),
  );
  t.equal(done.code, 0, done.stderr);
  t.equal(done.stdout.length, 20_000 * 1001 + '20000000\n'.length);
});

t.test('a rule that observes counts and lets pass; another agent has only that one', async (t) => {
  const done = await psql(AGENTS.stock, 'select pg_sleep(0); do $$ begin null; end $$;');
  t.equal(done.code, 0, done.stderr);
  t.equal(done.stderr, '');
  const flow = await sluice.waitForFlow((f) => f.protocol === 'postgres' && f.agent === AGENTS.stock);
  t.match(flow, { operations: { total: 2, denied: 0, observed: 1 } });
});

t.test('what cannot be read is refused: the replication protocol', async (t) => {
  const argv = ['psql', '-XAtq', `${connection} replication=database`, '-c', 'IDENTIFY_SYSTEM'];
  const done = await sluice.run(AGENTS.shop, argv, { env });
  t.match(done, { code: 2, stderr: /about operations, which cannot be read in this flow/ });
  const flow = await sluice.waitForFlow((f) => f.reason === 'policy_denied');
  t.match(flow, { disposition: 'denied', rule: 'no-destruction' });
});
