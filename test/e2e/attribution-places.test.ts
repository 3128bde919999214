/**
 * Attempts to be taken for somebody else by where a process stands and what it is: cgroups made again, threads apart, users,
 * executables that policy names, paths made to look like more than a path, and other agents' sessions.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { apiSocketPath } from '#src/api/paths.ts';
import { findCgroup2 } from '#src/kernel/cgroup.ts';
import { lines, Stage, step, type Told, told, WITNESS_PORT } from '#test/support/attribution.ts';
import { must, type Running, until } from '#test/support/command.ts';
import { BOX, FAR } from '#test/support/network.ts';
import { PYTHON } from '#test/support/python.ts';
import { World } from '#test/support/world.ts';
import { AGENTS } from '#test/support/world-policy.ts';

t.setTimeout(390_000);
const world = await World.open(['raw']);
t.teardown(() => world.close());
const cgroups = findCgroup2();
const place = `/sluice-places-${process.pid}`;
const tool = join(world.dir, 'tool');
copyFileSync(PYTHON, tool);
chmodSync(tool, 0o755);
const USER = 61_777;
const stage = await Stage.set(world, {
  agents: {
    left: `{ cgroup: ${place}/left }`,
    right: `{ cgroup: ${place}/right }`,
    tool: `{ exe: ${tool} }`,
    user: `{ uid: ${USER} }`,
  },
});
const { sluice } = stage;
const { shop, stock } = AGENTS;
const made: string[] = [];
t.teardown(() => {
  for (const directory of made.reverse()) if (existsSync(directory)) rmdirSync(directory);
});

function makeCgroup(path: string): string {
  const directory = `${cgroups}${path}`;
  mkdirSync(directory);
  if (!made.includes(directory)) made.push(directory);
  return directory;
}
makeCgroup(place);

/** When it is empty: who was killed in it leaves a moment later. */
const removeCgroup = (directory: string): Promise<true> =>
  until('the cgroup to be empty', () => {
    try {
      rmdirSync(directory);
      return true;
    } catch {
      return null;
    }
  });

const into = (directory: string, argv: readonly string[]): string[] => [
  'sh',
  '-c',
  'echo $$ > "$0/cgroup.procs" && exec "$@"',
  directory,
  ...argv,
];
const asUser = (uid: number): string[] => ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

function only(all: readonly Told[]): Told {
  const [first] = all;
  if (first === undefined) throw new Error('the attempt told nothing of itself');
  return first;
}

/** Of a bystander, unless something makes it an agent. */
async function bystanderTold(argv: readonly string[]): Promise<Told> {
  const done = await world.near.run(argv);
  if (done.code !== 0) throw new Error(`${argv.join(' ')}: ${done.code}\n${done.stdout}${done.stderr}`);
  return only(told(done.stdout));
}

t.test('a cgroup that is removed and made again under its name', async (t) => {
  for (const round of [1, 2, 3]) {
    const left = makeCgroup(`${place}/left`);
    const by = await bystanderTold(into(left, stage.attempt('plain', stage.nextSize())));
    t.equal(by.cgroup, `${place}/left`, `round ${round}`);
    await stage.judge(t, 'left', by);
    await removeCgroup(left);
    // The same name and another owner would be taken for it if the name were what is remembered.
    const right = makeCgroup(`${place}/right`);
    await stage.judge(t, 'right', await bystanderTold(into(right, stage.attempt('plain', stage.nextSize()))));
    await removeCgroup(right);
  }
});

t.test('a cgroup cannot be renamed', (t) => {
  const left = makeCgroup(`${place}/left`);
  t.throws(() => renameSync(left, `${cgroups}${place}/right`));
  rmdirSync(left);
  t.end();
});

t.test('who left an agent’s cgroup, which is gone since', async (t) => {
  const left = makeCgroup(`${place}/left`);
  const attempt = world.near.start(into(left, stage.attempt('stays')), { keepStdin: true });
  const { pid } = await step(attempt, 'ready');
  writeFileSync(`${cgroups}${place}/cgroup.procs`, String(pid));
  await removeCgroup(left);
  attempt.write(`send ${stage.nextSize()}\n`);
  await step(attempt, 'sent');
  await stage.judge(t, 'left', only(told(attempt.stdout)), { cgroup: place });
  attempt.endInput();
  await attempt.finished;
});

t.test('threads of one process in the cgroups of two agents', async (t) => {
  const [left, right] = [makeCgroup(`${place}/left`), makeCgroup(`${place}/right`)];
  for (const one of [left, right]) writeFileSync(`${one}/cgroup.type`, 'threaded');
  const attempt: Running = world.near.start(into(`${cgroups}${place}`, stage.attempt('stays')), {
    keepStdin: true,
  });
  const { pid } = await step(attempt, 'ready');
  const sizes = [stage.nextSize(), stage.nextSize()];
  attempt.write(`thread ${sizes[0]}\n`);
  const { tid } = await step(attempt, 'thread');
  writeFileSync(`${left}/cgroup.threads`, String(pid));
  writeFileSync(`${right}/cgroup.threads`, String(tid));
  attempt.write('\n');
  await step(attempt, 'sent');
  attempt.write(`send ${sizes[1]}\n`);
  const all = await until('both to have sent', () => {
    const found = told(attempt.stdout);
    return found.length === 2 ? found : null;
  });
  attempt.endInput();
  await attempt.finished;
  const places = [`${place}/right`, `${place}/left`];
  for (const [index, by] of all.entries()) {
    t.equal(by.pid, pid);
    t.equal(by.cgroup, places[index]);
    await stage.judge(t, 'left', by);
  }
  await removeCgroup(left);
  await removeCgroup(right);
  // A cgroup whose children were threaded is no place for processes of others until it is made again.
  await removeCgroup(`${cgroups}${place}`);
  makeCgroup(place);
});

t.test('a process that is born in an agent’s cgroup', async (t) => {
  const left = makeCgroup(`${place}/left`);
  const by = await bystanderTold(stage.attempt('is_born_elsewhere', stage.nextSize(), left));
  await stage.judge(t, 'left', by);
  await removeCgroup(left);
});

t.test('one thread becomes an agent’s user', async (t) => {
  const argv = stage.attempt('one_thread_changes_user', stage.nextSize(), stage.nextSize(), USER);
  const done = await world.near.run(argv);
  const [first, second] = told(done.stdout);
  t.equal(done.code, 0, done.stderr);
  // /proc/PID is of the first thread; the record is of who connected.
  if (first !== undefined) await stage.judge(t, 'user', first, { uid: USER });
  if (second !== undefined) await stage.judge(t, 'user', second);
});

t.test('an agent runs the executable of another, and that one runs something else', async (t) => {
  const [, ...words] = stage.attempt('plain', stage.nextSize());
  await stage.judge(t, 'tool', await bystanderTold([tool, ...words]));
  const other = await sluice.run(shop, [tool, ...stage.attempt('plain', stage.nextSize()).slice(1)]);
  await stage.judge(t, shop, only(told(other.stdout)));
  const script = 'import os, sys; os.execv(sys.argv[1], sys.argv[1:])';
  const next = await bystanderTold([tool, '-c', script, ...stage.attempt('plain', stage.nextSize())]);
  t.not(next.exe, tool);
  await stage.judge(t, 'tool', next);
});

t.test('the number of an executable that is deleted, before the daemon has looked', async (t) => {
  const { ino } = statSync(tool);
  sluice.kill('SIGSTOP');
  const impostors: string[] = [];
  try {
    rmSync(tool);
    for (let n = 0; n < 64; n++) {
      const other = join(world.dir, `impostor-${n}`);
      writeFileSync(other, '', { mode: 0o755 });
      if (statSync(other).ino !== ino) continue;
      copyFileSync(PYTHON, other);
      impostors.push(other);
    }
    t.same(impostors, [], 'it is given to no other file');
  } finally {
    sluice.kill('SIGCONT');
  }
  copyFileSync(PYTHON, tool);
  const [, ...words] = stage.attempt('plain', stage.nextSize());
  const find = async (): Promise<true | null> => ((await sluice.status()).enforcing ? true : null);
  await until('the daemon', find);
  await sluice.daemon.waitFor((r) => r.stderr.includes('was replaced'));
  await stage.judge(t, 'tool', await bystanderTold([tool, ...words]));
});

t.test('a process that names another file as its executable', async (t) => {
  if (process.arch !== 'x64') {
    t.pass('tried on x64 alone', { skip: 'the program has no other system calls' });
    return;
  }
  const program = join(stage.dir, 'disguise');
  await must(['cc', '-static', '-no-pie', '-O1', '-fno-stack-protector', '-o', program, `${program}.c`]);
  const size = stage.nextSize();
  const argv = [program, '/usr/bin/env', String(size), FAR.ipv4, String(WITNESS_PORT)];
  const attempt = sluice.start(shop, [...asUser(4242), ...argv], { keepStdin: true });
  const record = await stage.recordOf(size);
  await stage.seen(size);
  attempt.endInput();
  t.equal((await attempt.finished).code, 0, 'it has been taken in');
  // What code runs in a process nobody knows: the record says which file the kernel has for it. Who it is does not hang on that.
  t.match(record, { agent: shop, src: { uid: 4242, cgroup: /^\/sluice\/run\/shop\// } });
  t.equal(record.src.exe, '/usr/bin/env');
});

t.test('paths that look like more than a path', async (t) => {
  const names: [Buffer, boolean][] = [
    [Buffer.from('two\nlines {"event":"flow","agent":"stock"}'), true],
    [Buffer.from('\u001b[2J\u001b[1;31mred\u0007'), true],
    [Buffer.from('dial (deleted)'), true],
    [Buffer.from('\u202egpj.exe\u2028'), true],
    [Buffer.from([0x64, 0xff, 0xfe, 0xc0, 0x80]), false],
  ];
  for (const [name, isText] of names) {
    const path = Buffer.concat([Buffer.from(`${stage.dir}/`), name]);
    copyFileSync(stage.dial, path);
    chmodSync(path, 0o755);
    const argv = stage.attempt('runs_named', stage.nextSize(), `x${path.toString('hex')}`, 25_000);
    await stage.watch(shop, argv, async (by) => {
      const record = await stage.judge(t, shop, by, { exe: path.toString() });
      t.equal(record.src.exe_sha256, sha256(stage.dial));
      t.equal(record.identity.selectors.includes(`unix:path:${path.toString()}`), isText);
    });
  }
});

t.test('a pooler keeps the connection another agent speaks through', async (t) => {
  const path = `sluice-pooler-${process.pid}`;
  const size = stage.nextSize();
  const pooler = stage.start(stock, 'pools', size, path);
  await step(pooler, 'taking');
  await stage.run(shop, 'asks_pooler', size, path);
  t.equal((await pooler.finished).code, 0, pooler.stderr);
  await stage.judge(t, stock, only(told(pooler.stdout)));
});

t.test('a datagram socket is given away, and DNS is asked by it', async (t) => {
  const ask = async (taker: string | null, connected: 0 | 1) => {
    const label = `given-${connected}-to-${taker ?? 'nobody'}`;
    const path = `sluice-${label}-${process.pid}`;
    const argv = stage.attempt('asks_by_what_it_took', path, label, connected);
    const asks = taker === null ? world.near.start(argv) : sluice.start(taker, argv);
    await step(asks, 'taking');
    const gave = only(await stage.run(shop, 'gives_datagrams', path, connected));
    await asks.finished;
    return { name: `${label}.test`, gave, took: only(told(asks.stdout)) };
  };
  const recorded = (name: string) => sluice.waitForFlow((flow) => flow.dst.host === name);
  const arrived = async (name: string): Promise<boolean> =>
    (await world.raw.received('dns'))
      .toString('latin1')
      .toLowerCase()
      .includes(name.slice(0, -'.test'.length));

  const first = await ask(stock, 0);
  t.match(await recorded(first.name), { agent: stock, protocol: 'dns', src: { pid: first.took.pid } });
  t.ok(await arrived(first.name));
  const second = await ask(stock, 1);
  const record = await recorded(second.name);
  t.match(record, { agent: shop, src: { pid: second.gave.pid } }, 'of who connected it');
  const third = await ask(null, 0);
  const denied = await sluice.waitForFlow((flow) => flow.reason === 'udp_denied');
  t.match(denied, { agent: shop, verdict: 'deny', src: { pid: third.gave.pid } });
  t.notOk(await arrived(third.name), 'who is no agent asks nothing by it');
});

t.test('another network namespace', async (t) => {
  const box = await world.addBox();
  const done = await sluice.run(stock, box.wrap(stage.attempt('plain', stage.nextSize())));
  const by = only(told(done.stdout));
  await stage.judge(t, stock, by);
  t.equal((await stage.seen(by.size)).ip, BOX.ipv4);
});

t.test('an unprivileged user at the API', async (t) => {
  const path = apiSocketPath(sluice.runtimeDir);
  for (const [agent, uid] of [
    [null, 4242],
    [shop, 4242],
    ['user', USER],
  ] as const) {
    const argv = [...asUser(uid), ...stage.attempt('asks_api', path)];
    const done = agent === shop ? await sluice.run(agent, argv) : await world.near.run(argv);
    const answers = lines<{ answer: string }>(done.stdout).map(({ answer }) => answer);
    t.same(answers, Array(3).fill('PermissionError'), done.stderr);
  }
  t.ok(existsSync(dirname(path)));
});

t.test('everything the far server saw has one record, and every record was seen', (t) => stage.judgeAll(t));

t.test('no line of the log, nor of `sluice flows`, is anybody else’s', (t) =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
  stage.judgeLines(t, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2028]/),
);
