/**
 * Answers that come twice, too late, or for another: an approval is for one execution of one statement in one session, and who gives it is
 * told what became of it. A real PostgreSQL is the judge of what has run.
 */
import t from 'tap';
import { until } from '#test/support/command.ts';
import { readExposition } from '#test/support/exposition.ts';
import { Held } from '#test/support/held.ts';
import { psqlThrough } from '#test/support/psql.ts';
import { PYTHON } from '#test/support/python.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS, worldPolicy } from '#test/support/world-policy.ts';

t.setTimeout(420_000);
const world = await World.open(['postgres']);
t.teardown(() => world.close());
const PATIENT = [AGENTS.shop, AGENTS.stock, AGENTS.modern, AGENTS.nobody];
const sluice = await TestSluice.start(world, {
  policy: worldPolicy(world, {
    rules: `
  - name: everybody
    agents: [${AGENTS.modern}, ${AGENTS.legacy}, ${AGENTS.nobody}]
    destinations: [db]
    action: allow`,
    more: `operations:
  - name: ask-first
    agents: [${PATIENT.join(', ')}]
    destinations: [db]
    effects: [unbounded-write]
    action: hold
  - name: soon
    agents: [${AGENTS.legacy}]
    destinations: [db]
    effects: [unbounded-write]
    action: hold
    hold: {timeout_seconds: 2}
`,
  }),
});
const held = new Held(sluice);
const { connection, env, fileOf, psql } = psqlThrough(sluice);
const update = (what: string): string => `update tally set n = n + 1 /* ${what} */`;
const startPsql = (what: string, agent: string = AGENTS.shop) =>
  sluice.start(agent, ['psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-c', update(what), connection], { env });
const startPython = (agent: string, script: string, ...more: readonly string[]) =>
  sluice.start(agent, [PYTHON, fileOf(script), connection, ...more], { env, keepStdin: true });
await psql(
  AGENTS.shop,
  'create table tally (id int, n int, who text); insert into tally values (1, 0), (2, 0);',
);

t.test('the second answer is told what the first was, whichever', async (t) => {
  const { finished } = startPsql('approved');
  const { id } = await held.next();
  t.match(await held.approve(id), { code: 0, stdout: 'approved: UPDATE tally by shop\n' });
  t.match(await finished, { code: 0, stderr: '' });
  const approved = /^sluice: nothing waits under that id any more: approved by root \(uid 0\).* \d+ s ago\n/;
  t.match(await held.approve(id), { code: 1, stdout: '', stderr: approved });
  t.match(await held.deny(id), { code: 1, stdout: '', stderr: approved });
  t.equal(await held.ran('/* approved */'), 1);
  const denied = startPsql('denied');
  const other = await held.next();
  t.match(await held.deny(other.id), { code: 0, stdout: 'denied: UPDATE tally by shop\n' });
  t.match(await held.approve(other.id), {
    code: 1,
    stdout: '',
    stderr: /any more: denied by root \(uid 0\)/,
  });
  t.match(await denied.finished, { code: 1, stderr: /42501: Sluice: UPDATE .* and was denied\n/ });
  t.equal(await held.ran('/* denied */'), 0);
});

t.test('of answers that come together one is taken', async (t) => {
  for (const round of [1, 2, 3]) {
    const { finished } = startPsql(`together ${round}`);
    const { id } = await held.next();
    const [one, two, no] = await Promise.all([held.approve(id), held.approve(id), held.deny(id)]);
    t.strictSame([one, two, no].map(({ code }) => code).sort(), [0, 1, 1]);
    await finished;
    t.equal(await held.ran(`/* together ${round} */`), no.code === 0 ? 0 : 1);
  }
});

t.test('an answer to what waits no more is told why', async (t) => {
  const killed = startPsql('killed');
  const first = await held.next();
  killed.kill('SIGTERM');
  await held.none();
  t.match(await held.approve(first.id), { code: 1, stderr: /any more: its agent has left, .* s ago\n/ });
  const cancelled = startPsql('cancelled');
  const second = await held.next();
  cancelled.kill('SIGINT');
  t.match(await cancelled.finished, { stderr: /57014/ });
  t.match(await held.approve(second.id), { code: 1, stderr: /any more: its agent has cancelled it/ });
  // Again, for as long as its time was up before it was looked for.
  const third = await until('one to be seen that waits for two seconds', async () => {
    const late = startPsql('late', AGENTS.legacy);
    const seen = await held.seen('late', late);
    t.match(await late.finished, { code: 1, stderr: /nobody has answered in 2 seconds/ });
    return seen;
  });
  t.match(await held.approve(third.id), { code: 1, stderr: /any more: its time was up/ });
  t.match(await held.deny('0123456789'), {
    code: 1,
    stdout: '',
    stderr: /^sluice: nothing waits under that id\n {2}hint: see `sluice holds`/,
  });
  const gone = startPython(
    AGENTS.shop,
    `import psycopg, sys, os
c = psycopg.connect(sys.argv[1], autocommit=True)
print(c.info.backend_pid, flush=True)
try:
    c.execute(${JSON.stringify(update('server gone'))})
except psycopg.Error as e:
    print(type(e).__name__)
`,
  );
  const fourth = await held.next();
  await gone.waitFor(({ stdout }) => stdout.includes('\n'));
  process.kill(Number(gone.stdout), 'SIGTERM');
  t.match(
    (await gone.finished).stdout,
    /\n(?:OperationalError|AdminShutdown)\n/,
    'the server has ended the session',
  );
  await held.none();
  t.match(await held.approve(fourth.id), { code: 1, stderr: /any more: its agent has left/ });
  for (const what of ['killed', 'cancelled', 'late', 'server gone'])
    t.equal(await held.ran(`/* ${what} */`), 0, what);
});

t.test('about the moment its time is up: approved is what has run, and nothing else', async (t) => {
  const aroundMs = [-40, -20, -12, -8, -6, -4, -2, 2];
  const outcomes: boolean[] = [];
  for (const [n, ms] of aroundMs.entries()) {
    const session = startPsql(`about ${n}`, AGENTS.legacy);
    const hold = await held.seen(`about ${n} `, session);
    const endMs = hold === null ? 0 : Date.parse(hold.until);
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, endMs + ms - Date.now())));
    const answered = sluice.api.answerHold({ id: hold?.id ?? '', approved: true });
    outcomes.push(
      await answered.then(
        () => true,
        () => false,
      ),
    );
    await session.finished;
  }
  t.comment(`approved: ${outcomes.join(' ')}`);
  const executed = await held.executed();
  for (const [n, isApproved] of outcomes.entries()) {
    const ran = executed.filter((line) => line.includes(`/* about ${n} */`));
    t.equal(ran.length, isApproved ? 1 : 0, `${n}`);
  }
});

t.test('a worker that is silent: the answer stands, and counts when it speaks again', async (t) => {
  const { finished } = startPsql('silent');
  const { id } = await held.next();
  const pids = (await sluice.status()).workers.flatMap(({ pid }) => (pid === null ? [] : [pid]));
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  t.match(await held.approve(id), {
    code: 1,
    stdout: '',
    stderr: /its worker has not taken the answer in time/,
  });
  t.match(await held.deny(id), { code: 1, stderr: /any more: approved by root/ });
  for (const pid of pids) process.kill(pid, 'SIGCONT');
  t.match(await finished, { code: 0 });
  await held.none();
  t.equal(await held.ran('/* silent */'), 1);
});

/** Two sessions at a time, each by its own connection, that do the same; says which had what. */
const TWINS = `import os, psycopg, socket, sys, threading
def one(name):
    with psycopg.connect(sys.argv[1], autocommit=True, application_name=name) as c:
        with socket.socket(fileno=os.dup(c.pgconn.socket)) as s:
            port = s.getsockname()[1]
        try:
            c.execute(sys.argv[2], [name] if "%s" in sys.argv[2] else None, prepare="%s" in sys.argv[2])
            print(name, port, "ran", flush=True)
        except psycopg.Error as e:
            print(name, port, e.sqlstate, flush=True)
threads = [threading.Thread(target=one, args=(name,)) for name in ("1", "2")]
for t in threads: t.start()
for t in threads: t.join()
`;

t.test('the same text in two sessions: one is approved', async (t) => {
  const text = "update tally set n = n + 1, who = current_setting('application_name') /* twins */";
  for (const round of [0, 1]) {
    const twins = startPython(AGENTS.shop, TWINS, text);
    const both = await held.all(2);
    const approved = both[round];
    if (approved === undefined) throw new Error('there are two');
    t.equal(both[0]?.texts[0]?.text, both[1]?.texts[0]?.text);
    t.match(await held.approve(approved.id), { code: 0 });
    await twins.waitFor(({ stdout }) => stdout.includes('ran'));
    t.strictSame(await held.list(), [both[1 - round]], 'the other goes on waiting');
    t.equal(await held.ran('/* twins */'), round + 1);
    await held.deny(both[1 - round]?.id ?? '');
    const { stdout } = await twins.finished;
    const [, name, port] = /^(\d) (\d+) ran$/m.exec(stdout) ?? [];
    t.match(stdout, / 42501$/m);
    const flow = await sluice.waitForFlow(({ id }) => id === approved.flow);
    t.match(
      flow,
      { src: { port: Number(port) }, operations: { approved: 1 } },
      'it ran where it was approved',
    );
    t.equal((await psql(AGENTS.shop, 'select distinct who from tally;')).stdout, `${name}\n`);
  }
});

t.test('the same text of two agents: one is approved', async (t) => {
  const mine = startPsql('same', AGENTS.shop);
  const theirs = startPsql('same', AGENTS.stock);
  const both = await held.all(2);
  t.match(await held.approve(both.find(({ agent }) => agent === AGENTS.stock)?.id ?? ''), { code: 0 });
  t.match(await theirs.finished, { code: 0 });
  const left = await held.list();
  t.match(left, [{ agent: AGENTS.shop }]);
  await held.deny(left[0]?.id ?? '');
  t.match(await mine.finished, { code: 1, stderr: /and was denied/ });
  t.equal(await held.ran('/* same */'), 1);
});

t.test('the same prepared statement with other values: one is approved', async (t) => {
  await psql(AGENTS.shop, 'update tally set n = 0 where id > 0 and n > 0;');
  const twins = startPython(AGENTS.shop, TWINS, 'update tally set who = %s where true or n < 0');
  const both = await held.all(2);
  const two = both.find(({ values }) => values[0] === "'2'");
  t.match(await held.approve(two?.id ?? ''), { code: 0 });
  await twins.waitFor(({ stdout }) => /^2 \d+ ran$/m.test(stdout));
  t.match(await held.list(), [{ values: ["'1'"] }]);
  await held.deny(both.find(({ id }) => id !== two?.id)?.id ?? '');
  t.match((await twins.finished).stdout, /^1 \d+ 42501$/m);
  t.equal((await psql(AGENTS.shop, 'select distinct who from tally;')).stdout, '2\n');
});

t.test('two of one session are asked about one after the other', async (t) => {
  const session = startPython(
    AGENTS.shop,
    `import psycopg, sys
with psycopg.connect(sys.argv[1], autocommit=True) as c:
    with c.pipeline() as p:
        try:
            c.execute(${JSON.stringify(update('one of two'))})
            p.sync()
            c.execute(${JSON.stringify(update('two of two'))})
            p.sync()
        except psycopg.Error as e:
            print(e.sqlstate)
`,
  );
  const one = await held.next();
  t.match(one.texts, [{ text: update('one of two') }]);
  t.equal((await held.list()).length, 1);
  t.match(await held.approve(one.id), { code: 0 });
  const two = await held.next(one);
  t.match(two.texts, [{ text: update('two of two') }]);
  t.match(await held.approve(one.id), { code: 1, stderr: /any more: approved by/ });
  t.match(await held.list(), [{ id: two.id }]);
  await held.deny(two.id);
  t.equal((await session.finished).stdout, '42501\n');
  t.equal(await held.ran('/* one of two */'), 1);
  t.equal(await held.ran('/* two of two */'), 0);
});

/** So many connections that ask for the same at once; says what each is answered, as it comes. */
const CROWD = `import psycopg, select, sys
from psycopg.pq import DiagnosticField
text = sys.argv[3].encode()
connections = [psycopg.connect(sys.argv[1], autocommit=True) for _ in range(int(sys.argv[2]))]
waiting = {}
for c in connections:
    c.pgconn.send_query(text)
    c.pgconn.flush()
    waiting[c.pgconn.socket] = c.pgconn
print("asked", flush=True)
while waiting:
    for fd in select.select(list(waiting), [], [])[0]:
        p = waiting[fd]
        p.consume_input()
        if p.is_busy(): continue
        result = p.get_result()
        del waiting[fd]
        code = result.error_field(DiagnosticField.SQLSTATE)
        print("ran" if code is None else code.decode() + " " + result.error_message.decode().split("\\n")[0], flush=True)
`;

t.test(
  "the bound is the host's, whichever worker: beyond it is refused with a code of its own, and counted",
  async (t) => {
    const refusedBefore = (await sluice.status()).holds.ended.find(({ outcome }) => outcome === 'refused');
    t.match(refusedBefore, { count: 0 });
    const first = startPython(AGENTS.shop, CROWD, '66', update('crowd'));
    await first.waitFor(({ stdout }) => stdout.split('\n').length > 3);
    const ofOne = await held.all(64);
    const open = await until('the workers to tell of their flows', async () => {
      const counts = (await sluice.status()).workers.map(({ openFlows }) => openFlows);
      return counts.reduce((sum, count) => sum + count, 0) === 66 && counts;
    });
    t.ok(
      open.every((count) => count > 0 && count < 64),
      `over the workers: ${open.join(' ')}`,
    );
    t.match(first.stdout, /^asked$/m);
    const refused = first.stdout.split('\n').filter((line) => line.startsWith('53400 '));
    t.match(refused, [
      /UPDATE needs approval by rule "ask-first", and too much of this agent waits for approval already$/,
      /53400/,
    ]);
    t.equal(refused.length, 2);
    t.match(await held.approve(ofOne[0]?.id ?? ''), { code: 0 });
    await first.waitFor(({ stdout }) => stdout.includes('ran'));
    const again = startPsql('crowd again');
    await held.all(64);
    t.equal((await held.list()).at(-1)?.texts[0]?.text, update('crowd again'), 'there was room again');
    const others = [AGENTS.stock, AGENTS.modern, AGENTS.nobody].map((agent) =>
      startPython(agent, CROWD, '64', update('crowd')),
    );
    await held.all(256);
    const beyond = startPsql('beyond', AGENTS.legacy);
    t.match(await beyond.finished, {
      code: 1,
      stderr: /53400: Sluice: UPDATE needs approval by rule "soon", and too many wait for approval already/,
    });
    t.match((await sluice.cli(['status'])).stdout, /holds +256 waiting, .*, 3 refused/);
    const scrape = [
      'curl',
      '-sS',
      '--unix-socket',
      `${sluice.runtimeDir}/api.sock`,
      'http://sluice/v1/metrics',
    ];
    const metrics = readExposition((await world.near.run(scrape)).stdout);
    t.equal(metrics.get('sluice_holds_total')?.samples.get('{outcome="refused"}'), 3);
    t.equal(metrics.get('sluice_holds_waiting')?.samples.get(''), 256);
    await sluice.logSays(/what needs approval is refused: too many wait for approval already \(256 in all\)/);
    const flow = await sluice.waitForFlow(({ agent }) => agent === AGENTS.legacy);
    t.ok(flow);
    for (const agent of [first, again, ...others]) agent.kill('SIGTERM');
    await held.none();
    t.equal(await held.ran('/* crowd */'), 1);
    t.equal(await held.ran('/* crowd again */'), 0);
    t.equal(await held.ran('/* beyond */'), 0);
  },
);
