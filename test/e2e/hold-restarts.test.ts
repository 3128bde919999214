/**
 * What waits for approval while workers and the daemon are replaced, killed and stopped: it has run once after it was approved, or never;
 * nothing is listed that does not wait; the agent is told. A real PostgreSQL is the judge of what has run.
 */
import t from 'tap';
import type { HoldStatus } from '#src/api/types.ts';
import { type Running, until } from '#test/support/command.ts';
import { Held } from '#test/support/held.ts';
import { psqlThrough } from '#test/support/psql.ts';
import { PYTHON } from '#test/support/python.ts';
import { underServiceManager } from '#test/support/service-manager.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS, worldPolicy } from '#test/support/world-policy.ts';

t.setTimeout(420_000);

const policyOf = (world: World): string =>
  worldPolicy(world, {
    more: `operations:
  - name: ask-first
    agents: [${AGENTS.shop}]
    destinations: [db]
    effects: [unbounded-write]
    action: hold
`,
  });
const PSQL = ['psql', '-XAtq', '-v', 'VERBOSITY=verbose'];
const update = (what: string): string => `update tally set n = n + 1 /* ${what} */`;
const CREATE = 'create table tally (n int); insert into tally values (0);';

async function restartWorkers(sluice: TestSluice): Promise<void> {
  const { code, stderr } = await sluice.cli(['workers', 'restart'], { timeoutMs: 120_000 });
  if (code !== 0) throw new Error(stderr);
}

async function workersAgain(sluice: TestSluice, before: readonly (number | null)[]): Promise<void> {
  await until('workers of which all are new', async () =>
    (await sluice.status()).workers.every(({ pid }) => pid !== null && !before.includes(pid)),
  );
}

t.test('workers replaced: it waits on, and what is approved then has run', async (t) => {
  const world = await World.open(['postgres']);
  t.teardown(() => world.close());
  const sluice = await TestSluice.start(world, { policy: policyOf(world), ...underServiceManager(world) });
  const held = new Held(sluice);
  const { connection, env, psql } = psqlThrough(sluice);
  await psql(AGENTS.shop, CREATE);
  const begin = (name: string): Promise<HoldStatus> => {
    const session = sluice.start(AGENTS.shop, [...PSQL, connection], { env, keepStdin: true });
    session.write(`${update(name)};\nselect 'goes on';\n`);
    sessions.set(name, session);
    return until(name, async () => (await held.list()).find(({ texts }) => texts[0]?.text?.includes(name)));
  };
  const sessions = new Map<string, Running>();
  const goesOn = (name: string): Promise<unknown> =>
    sessions.get(name)?.waitFor(({ stdout }) => stdout.includes('goes on')) ??
    Promise.reject(new Error(name));
  const [approved, denied, cancelled, after] = [
    await begin('to be approved'),
    await begin('to be denied'),
    await begin('to be cancelled'),
    await begin('after two'),
  ];
  const { workers } = await sluice.status();
  await restartWorkers(sluice);
  await workersAgain(
    sluice,
    workers.map(({ pid }) => pid),
  );
  t.strictSame(
    (await held.list()).map(({ id }) => id),
    [approved.id, denied.id, cancelled.id, after.id],
    'as it was',
  );
  t.match(await held.approve(approved.id), { code: 0 });
  t.match(await held.deny(denied.id), { code: 0 });
  sessions.get('to be cancelled')?.kill('SIGINT');
  for (const name of ['to be approved', 'to be denied']) await goesOn(name);
  // Who began before asks on, of a worker that takes no more connections.
  sessions.get('to be denied')?.write(`${update('asked of the old one')};\nselect 'once more';\n`);
  const later = await held.next(after);
  t.match(await held.approve(later.id), { code: 0 });
  await sessions.get('to be denied')?.waitFor(({ stdout }) => stdout.includes('once more'));
  await restartWorkers(sluice);
  t.match(await held.approve(after.id), { code: 0 }, 'and again');
  await goesOn('after two');
  for (const session of sessions.values()) session.endInput();
  const errors = new Map<string, string>();
  for (const [name, session] of sessions) errors.set(name, (await session.finished).stderr);
  t.equal(errors.get('to be approved'), '');
  t.match(
    errors.get('to be denied'),
    /42501: Sluice: UPDATE needs approval by rule "ask-first", and was denied/,
  );
  t.match(errors.get('to be cancelled'), /57014/);
  t.equal(errors.get('after two'), '');
  t.equal(await held.ran('to be approved'), 1);
  t.equal(await held.ran('to be denied'), 0);
  t.equal(await held.ran('to be cancelled'), 0);
  t.equal(await held.ran('asked of the old one'), 1);
  t.equal(await held.ran('after two'), 1);

  // Of a worker that is drained already when the daemon goes, and of one that serves. More than four that are drained would be cut.
  const drained = (most: number): Promise<true> =>
    until('old workers to go', async () => (await sluice.status()).draining.length <= most);
  await begin('over two daemons');
  await restartWorkers(sluice);
  const second = await begin('of one that serves');
  await drained(1);
  await sluice.restart('SIGUSR2');
  const handed = await held.all(2);
  t.notOk(
    handed.some(({ id }) => id === second.id),
    'under other ids',
  );
  await drained(2);
  await sluice.restart('SIGHUP');
  for (const { id } of await held.all(2)) t.match(await held.approve(id), { code: 0 });
  for (const name of ['over two daemons', 'of one that serves']) {
    await goesOn(name);
    sessions.get(name)?.endInput();
    t.match(await sessions.get(name)?.finished, { code: 0, stderr: '' }, name);
    t.equal(await held.ran(name), 1);
  }
});

t.test('workers replaced: it waits for as long as its flow is drained', async (t) => {
  const world = await World.open(['postgres']);
  t.teardown(() => world.close());
  const sluice = await TestSluice.start(world, { policy: policyOf(world), args: ['--drain-timeout', '2'] });
  const held = new Held(sluice);
  const { psql } = psqlThrough(sluice);
  await psql(AGENTS.shop, CREATE);
  const session = psql(AGENTS.shop, `${update('drained')};\n`);
  const { id } = await held.next();
  await restartWorkers(sluice);
  t.match(
    (await session).stderr,
    /server closed the connection|connection to server was lost|Connection reset/,
  );
  await held.none();
  t.match(await held.approve(id), { code: 1, stderr: /nothing waits under that id any more/ });
  t.equal(await held.ran('drained'), 0);
});

t.test(
  'replaced: it waits on, with the time that was left, and each answer is good for what it was given for',
  async (t) => {
    const world = await World.open(['postgres']);
    t.teardown(() => world.close());
    const sluice = await TestSluice.start(world, { policy: policyOf(world), ...underServiceManager(world) });
    const held = new Held(sluice);
    const { connection, env, psql } = psqlThrough(sluice);
    await psql(AGENTS.shop, CREATE);
    const kinds: readonly [string, () => Promise<unknown>][] = [
      ['in place', () => sluice.restart('SIGUSR2')],
      ['restart', () => sluice.restart('SIGHUP')],
    ];
    for (const [kind, replace] of kinds) {
      const session = sluice.start(AGENTS.shop, [...PSQL, connection], { env, keepStdin: true });
      session.write(`${update(`before ${kind}`)};\n${update(`waiting ${kind}`)};\nselect 'goes on';\n`);
      const cancelling = sluice.start(AGENTS.shop, [...PSQL, connection], { env, keepStdin: true });
      const before = await held.next();
      t.match(await held.approve(before.id), { code: 0 });
      const waiting = await held.next(before);
      cancelling.write(`${update(`cancelled ${kind}`)};\nselect 'goes on';\n`);
      const toCancel = await held.next(waiting);
      await replace();
      const listed = await held.all(2);
      const again = listed.find(({ flow }) => flow === waiting.flow);
      if (again === undefined) throw new Error('it does not wait');
      t.notOk([waiting.id, toCancel.id].includes(again.id), 'an id is of one daemon');
      t.strictSame(again.texts, waiting.texts);
      t.equal(again.agent, AGENTS.shop);
      t.equal(Date.parse(again.until) - Date.parse(again.since), 300_000, 'its time in all');
      t.match(await held.approve(waiting.id), { code: 1, stderr: /nothing waits under that id/ });
      t.equal(await held.ran(`/* waiting ${kind} */`), 0);
      cancelling.kill('SIGINT');
      t.match((await cancelling.finished).stderr, /57014/);
      t.match(await held.approve(again.id), { code: 0 });
      await session.waitFor((running) => running.stdout.includes('goes on'));
      session.write(`${update(`after ${kind}`)};\n`);
      session.endInput();
      const after = await held.next();
      t.match(after.texts, [{ text: `${update(`after ${kind}`)};` }], 'asked about by who replaced them');
      t.match(await held.deny(after.id), { code: 0 });
      const { stdout, stderr } = await session.finished;
      t.equal(stdout, 'goes on\n');
      t.match(stderr, /42501: Sluice: UPDATE needs approval by rule "ask-first", and was denied\n/);
      t.equal(stderr.match(/ERROR/g)?.length, 1);
      t.equal(await held.ran(`/* before ${kind} */`), 1);
      t.equal(await held.ran(`/* waiting ${kind} */`), 1);
      t.equal(await held.ran(`/* cancelled ${kind} */`), 0);
      t.equal(await held.ran(`/* after ${kind} */`), 0);
      t.strictSame(await held.list(), []);
    }
  },
);

/** So many sessions, each of which asks for one thing that waits, under its number. */
const MANY = 60;
const CROWD = `import psycopg, sys, threading
def one(number):
    with psycopg.connect(sys.argv[1], autocommit=True) as c:
        try:
            c.execute(sys.argv[2].replace("NUMBER", str(number)))
        except psycopg.Error:
            pass
        c.execute("select 1")
threads = [threading.Thread(target=one, args=(number,)) for number in range(${MANY})]
for t in threads: t.start()
for t in threads: t.join()
print("all of them go on")
`;

t.test('approved while it is replaced: what was called approved has run, and nothing else', async (t) => {
  const world = await World.open(['postgres']);
  t.teardown(() => world.close());
  const sluice = await TestSluice.start(world, { policy: policyOf(world) });
  const held = new Held(sluice);
  const { connection, env, fileOf, psql } = psqlThrough(sluice);
  await psql(AGENTS.shop, CREATE);
  const kinds: readonly [string, () => Promise<unknown>][] = [
    ['workers', () => restartWorkers(sluice)],
    ['in place', () => sluice.restart('SIGUSR2')],
  ];
  for (const [kind, replace] of kinds) {
    const argv = [PYTHON, fileOf(CROWD), connection, update(`race NUMBER ${kind}`)];
    const session = sluice.start(AGENTS.shop, argv, { env });
    const all = await held.all(MANY);
    const replacing = replace();
    const answers = new Map<string, string>();
    for (const { id, texts } of all) {
      const answered = await sluice.api.answerHold({ id, approved: true }).then(
        () => 'approved',
        ({ message }: Error) => message,
      );
      answers.set(texts[0]?.text ?? '', answered);
      // So that they are spread over what is going on.
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    await replacing;
    // Under the ids they have now.
    for (const { id } of await held.list()) t.match(await held.deny(id), { code: 0 });
    t.match(await session.finished, { code: 0, stdout: 'all of them go on\n' });
    const executed = await held.executed();
    const ran = (text: string): number => executed.filter((line) => line.includes(text)).length;
    let approved = 0;
    for (const [text, answer] of answers) {
      if (answer === 'approved') approved += 1;
      if (answer === 'approved') t.equal(ran(text), 1, text);
      else if (answer.startsWith('nothing waits')) t.equal(ran(text), 0, `${text}: ${answer}`);
      else t.ok(ran(text) <= 1, `${text}: ${answer}`);
    }
    t.equal(answers.size, MANY);
    if (kind === 'workers') t.equal(approved, MANY, 'this daemon has them on its list all the time');
    t.comment(`${kind}: ${approved} of ${MANY} were approved`);
    t.strictSame(await held.list(), []);
  }
});

t.test('killed or stopped: it has not run, the agent is told, and no list shows it', async (t) => {
  const world = await World.open(['postgres']);
  t.teardown(() => world.close());
  const sluice = await TestSluice.start(world, { policy: policyOf(world) });
  const held = new Held(sluice);
  const { psql } = psqlThrough(sluice);
  await psql(AGENTS.shop, CREATE);
  const killWorkers = async (): Promise<void> => {
    const pids = (await sluice.status()).workers.map(({ pid }) => pid);
    for (const pid of pids) if (pid !== null) process.kill(pid, 'SIGKILL');
    await workersAgain(sluice, pids);
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    await sluice.stop(signal);
    t.match(await sluice.cli(['holds']), { code: 3 }, 'there is nobody to ask');
    await sluice.startDaemon();
  };
  const kinds: readonly [string, () => Promise<void>, RegExp][] = [
    [
      'workers killed',
      killWorkers,
      /connection to server was lost|server closed the connection|Connection reset/,
    ],
    [
      'daemon killed',
      () => end('SIGKILL'),
      /connection to server was lost|server closed the connection|Connection reset/,
    ],
    ['daemon stopped', () => end('SIGTERM'), /42501: Sluice: UPDATE .*, and Sluice is being stopped\n/],
  ];
  for (const [kind, strike, told] of kinds) {
    const session = psql(AGENTS.shop, `${update(`waiting ${kind}`)};\n`);
    const waiting = await held.next();
    await strike();
    t.match((await session).stderr, told, kind);
    t.strictSame(await held.list(), []);
    const became =
      kind === 'workers killed' ? / any more: its worker has ended, / : /nothing waits under that id\n/;
    t.match(await held.approve(waiting.id), { code: 1, stderr: became });
    t.equal(await held.ran(`/* waiting ${kind} */`), 0);
    const again = psql(AGENTS.shop, `${update(`again ${kind}`)};\n`);
    t.match(await held.approve((await held.next()).id), { code: 0 });
    t.match(await again, { code: 0, stderr: '' });
    t.equal(await held.ran(`/* again ${kind} */`), 1);
  }
});

t.test(
  'approved while its worker is killed: it has run at most once, and not unless that is called approved',
  async (t) => {
    const world = await World.open(['postgres']);
    t.teardown(() => world.close());
    const sluice = await TestSluice.start(world, { policy: policyOf(world) });
    const held = new Held(sluice);
    const { psql } = psqlThrough(sluice);
    await psql(AGENTS.shop, CREATE);
    for (const round of [0, 1, 2, 3]) {
      const session = psql(AGENTS.shop, `${update(`shot ${round}`)};\n`);
      const { id } = await held.next();
      const pids = (await sluice.status()).workers.map(({ pid }) => pid);
      const answering = sluice.api.answerHold({ id, approved: true }).then(
        () => 'approved',
        ({ message }: Error) => message,
      );
      await new Promise((resolve) => setTimeout(resolve, round));
      for (const pid of pids) if (pid !== null) process.kill(pid, 'SIGKILL');
      const answered = await answering;
      await workersAgain(sluice, pids);
      await session;
      t.match(answered, /^approved$|its worker has ended, (?:before that answer came|\d+ s ago)$/);
      const ran = await held.ran(`/* shot ${round} */`);
      t.ok(ran <= (answered === 'approved' ? 1 : 0), `${answered}: ran ${ran}`);
      t.strictSame(await held.list(), []);
    }
  },
);
