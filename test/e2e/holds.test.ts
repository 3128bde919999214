/**
 * Statements that wait for somebody's answer: sessions of psql and psycopg against a real PostgreSQL whose own log says what it
 * had and when, and `sluice holds` beside them.
 */
import t from 'tap';
import type { HoldStatus } from '#src/api/types.ts';
import { Held } from '#test/support/held.ts';
import { psqlThrough } from '#test/support/psql.ts';
import { PYTHON } from '#test/support/python.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS, worldPolicy } from '#test/support/world-policy.ts';

t.setTimeout(240_000);
const world = await World.open();
t.teardown(() => world.close());
const operations = `operations:
  - name: ask-first
    agents: [${AGENTS.shop}]
    destinations: [db]
    effects: [unbounded-write, schema-destruction]
    action: hold
    hold: {timeout_seconds: 600}
    reason: People look at it.
  - name: soon
    agents: [${AGENTS.stock}]
    destinations: [db]
    effects: [unbounded-write]
    action: hold
    hold: {timeout_seconds: 1}
masks:
  - name: secrets
    agents: [${AGENTS.shop}]
    destinations: [db]
    columns: [vault.secret]
  - name: cards
    agents: [${AGENTS.shop}]
    destinations: [db]
    detect: [card]
    action: partial
    keep_last: 4
`;
const sluice = await TestSluice.start(world, { policy: worldPolicy(world, { more: operations }) });

const { connection, env, fileOf, psql } = psqlThrough(sluice);

const python = (script: string) => sluice.run(AGENTS.shop, [PYTHON, fileOf(script), connection], { env });

const held = new Held(sluice);
const inLog = async (text: string): Promise<boolean> => (await held.log()).includes(text);

t.test(
  'it waits with nothing of it at the server, is approved, and runs; denied, the session goes on',
  async (t) => {
    const session = psql(
      AGENTS.shop,
      `create temp table held_one (a int);
     insert into held_one values (41);
     update held_one set a = a + 1;
     select a from held_one;
     begin;
     delete from held_one;
     select 'in the block';
     rollback;
     select count(*) from held_one;
     select secret from vault;`,
    );
    const first = await held.next();
    t.match(first, { agent: AGENTS.shop, rules: ['ask-first'], verbs: ['UPDATE'], objects: ['held_one'] });
    t.strictSame(first.texts, [{ text: 'update held_one set a = a + 1;', bytes: 30 }], 'what will be run');
    t.notOk(await inLog('update held_one'), 'the server has nothing of it');
    t.match(await sluice.cli(['holds', 'approve', first.id]), {
      code: 0,
      stdout: /^approved: UPDATE held_one/,
    });
    const second = await held.next(first);
    t.match(second.verbs, ['DELETE']);
    t.match(await sluice.cli(['holds', 'deny', second.id, '--reason', 'after the backup']), { code: 0 });
    t.match(await sluice.cli(['holds', 'approve', second.id]), {
      code: 1,
      stderr: /nothing waits under that id/,
    });
    const done = await session;
    t.match(done.stdout, /^42\n1\n\*/, done.stderr);
    t.notMatch(done.stdout, /in the block/);
    t.match(
      done.stderr,
      /ERROR: {2}42501: Sluice: DELETE needs approval by rule "ask-first" \(People look at it\.\), and was denied: after the backup\n/,
    );
    t.match(done.stderr, /25P02: current transaction is aborted/);
    t.ok(await inLog('update held_one'));
    t.notOk(await inLog('delete from held_one'));
    const flow = await sluice.waitForFlow((f) => f.protocol === 'postgres' && f.operations?.held === 2);
    t.match(flow, { reason: 'ok', operations: { held: 2, approved: 1, denied: 1 } });
    t.match(flow.operations?.holds, [
      { what: 'UPDATE held_one', rule: 'ask-first', outcome: 'approved', by: { uid: 0, user: 'root' } },
      { what: 'DELETE held_one', outcome: 'denied', by: { uid: 0 }, reason: 'after the backup' },
    ]);
    t.match((await sluice.cli(['status'])).stdout, /holds +0 waiting, 1 approved, 1 denied/);
  },
);

t.test(
  'a pipeline of psycopg keeps its order; what was asked before is answered while it waits',
  async (t) => {
    const session = python(`import psycopg, sys
with psycopg.connect(sys.argv[1], autocommit=True) as c:
    c.execute("create temp table piped (a int)")
    with c.pipeline() as p:
        one = c.execute("insert into piped values (1), (2) returning a")
        p.sync()
        print(one.fetchall(), flush=True)
        two = c.execute("update piped set a = a + 10")
        three = c.execute("select sum(a) from piped")
        p.sync()
        print(two.rowcount, three.fetchall())
    with c.pipeline() as p:
        c.execute("insert into piped values (3)")
        try:
            c.execute("delete from piped")
            c.execute("select 'skipped'")
            p.sync()
        except psycopg.Error as e:
            print(e.sqlstate, type(e).__name__)
    print(c.execute("select count(*) from piped").fetchone())
`);
    const first = await held.next();
    t.notOk(await inLog('update piped'));
    t.ok(await inLog('insert into piped values (1)'));
    await sluice.cli(['holds', 'approve', first.id]);
    const second = await held.next(first);
    await sluice.cli(['holds', 'deny', second.id]);
    const done = await session;
    t.equal(done.stdout, '[(1,), (2,)]\n2 [(23,)]\n42501 InsufficientPrivilege\n(2,)\n', done.stderr);
    t.notOk(await inLog('delete from piped'));
    t.notOk(await inLog('skipped'));
  },
);

t.test(
  'each execution of a prepared statement is asked about, with its values, masked as policy has it',
  async (t) => {
    const session = python(`import psycopg, sys
with psycopg.connect(sys.argv[1], autocommit=True) as c:
    c.execute("create temp table parts (a int, b text)")
    c.execute("insert into parts values (1, 'x'), (2, 'y'), (3, 'z')")
    for given in ((1, "first"), (2, "4111111111111111"), (3, "third")):
        try:
            done = c.execute("update parts set b = %s where a = a or a = %s", (given[1], given[0]), prepare=True)
            print(done.rowcount, flush=True)
        except psycopg.Error as e:
            print(e.sqlstate, flush=True)
    print(c.execute("select distinct b from parts").fetchall())
    c.execute("prepare by_sql as delete from parts")
    print(c.execute("execute by_sql").rowcount)
`);
    const seen: HoldStatus[] = [];
    const next = async (approved: boolean): Promise<void> => {
      const hold = await held.next(...seen);
      seen.push(hold);
      await sluice.cli(['holds', approved ? 'approve' : 'deny', hold.id]);
    };
    await next(true);
    await next(false);
    await next(false);
    await next(true);
    const done = await session;
    t.equal(done.stdout, "3\n42501\n42501\n[('first',)]\n3\n", done.stderr);
    t.match(
      seen.map(({ texts, values }) => [texts.map(({ text }) => text), values]),
      [
        [['update parts set b = $1 where a = a or a = $2'], ["'first'", '1']],
        [['update parts set b = $1 where a = a or a = $2'], ["'************1111'", '2']],
        [['update parts set b = $1 where a = a or a = $2'], ["'third'", '3']],
        [['execute by_sql', 'prepare by_sql as delete from parts'], []],
      ],
    );
    t.notOk(await inLog('third'), 'nothing that was denied was run');
  },
);

t.test('an agent that cancels, closes or leaves does not wait, and nothing runs', async (t) => {
  const cancelling = fileOf(`import psycopg, sys, threading
def cancel():
    sys.stdin.readline()
    c.cancel()
with psycopg.connect(sys.argv[1], autocommit=True) as c:
    threading.Thread(target=cancel).start()
    try:
        c.execute("delete from vault where true")
    except psycopg.Error as e:
        print(e.sqlstate)
    print(c.execute("select 'goes on'").fetchone()[0])
`);
  const session = sluice.start(AGENTS.shop, [PYTHON, cancelling, connection], { env, keepStdin: true });
  await held.next();
  session.write('now\n');
  const cancelled = await session.finished;
  t.equal(cancelled.stdout, '57014\ngoes on\n', cancelled.stderr);
  const left = await python(`import psycopg, sys
c = psycopg.connect(sys.argv[1], autocommit=True)
c.pgconn.send_query(b"delete from vault where 1 = 1")
c.pgconn.flush()
c.close()
`);
  t.equal(left.code, 0, left.stderr);
  await sluice.atRest();
  t.strictSame(await held.list(), []);
  t.notOk(await inLog('delete from vault'));
});

t.test('what nobody answers in time is denied', async (t) => {
  const done = await psql(AGENTS.stock, "delete from vault;\nselect 'goes on';\n");
  t.equal(done.stdout, 'goes on\n');
  t.match(
    done.stderr,
    /42501: Sluice: DELETE needs approval by rule "soon", and nobody has answered in 1 seconds/,
  );
});
