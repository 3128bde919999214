/**
 * Attempts of agents to be taken for somebody else: by exec, fork, threads, sockets given away, ports used again, what
 * they call themselves and where they stand. The judge is what the far server saw, matched with the flow record.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { errnoOf } from '#src/core/errors.ts';
import { findCgroup2 } from '#src/kernel/cgroup.ts';
import { lines, Stage, step, type Told, told } from '#test/support/attribution.ts';
import { until } from '#test/support/command.ts';
import { PYTHON } from '#test/support/python.ts';
import { World } from '#test/support/world.ts';
import { AGENTS } from '#test/support/world-policy.ts';

t.setTimeout(390_000);
const world = await World.open(['nginx']);
t.teardown(() => world.close());
const cgroups = findCgroup2();
const place = `/sluice-attribution-${process.pid}`;
const stage = await Stage.set(world, {
  agents: { left: `{ cgroup: ${place}/left }`, right: `{ cgroup: ${place}/right }` },
});
const { sluice } = stage;
const { shop, stock } = AGENTS;
const UID = 4242;

function makeCgroup(name: string): string {
  const directory = `${cgroups}${place}/${name}`;
  mkdirSync(directory, { recursive: true });
  return directory;
}
t.teardown(() => {
  for (const name of ['left', 'right', '']) {
    try {
      rmdirSync(`${cgroups}${place}/${name}`);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
    }
  }
});

/** A copy of the program without a library, under another name; executable for everybody. */
function copyOfDial(name: string | Buffer): string | Buffer {
  const path = Buffer.isBuffer(name)
    ? Buffer.concat([Buffer.from(`${stage.dir}/`), name])
    : join(stage.dir, name);
  copyFileSync(stage.dial, path);
  chmodSync(path, 0o755);
  return path;
}

function only(all: readonly Told[]): Told {
  const [first] = all;
  if (first === undefined) throw new Error('the attempt told nothing of itself');
  return first;
}

const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');
const asUser = ['setpriv', `--reuid=${UID}`, `--regid=${UID}`, '--clear-groups'];

t.test('who just connects', async (t) => {
  for (const agent of [shop, stock]) {
    const by = only(await stage.run(agent, 'plain', stage.nextSize()));
    const record = await stage.judge(t, agent, by);
    t.equal(record.src.exe_sha256, sha256(by.exe));
  }
});

t.test('a name that looks like the rest of /proc/PID/stat', async (t) => {
  for (const name of [') S 1 1 1 0', '\n0 (x) R 1 1', '\u001b[2J\u001b[31m', '\u0085\u202e"}'].values()) {
    const by = only(await stage.run(shop, 'names_itself', stage.nextSize(), name));
    await stage.judge(t, shop, by);
  }
});

t.test('another program sends what this one connected', async (t) => {
  const by = only(await stage.run(shop, 'sends_after_exec', stage.nextSize(), stage.dial));
  await stage.judge(t, shop, by);
});

t.test('exec, under another number, between connect and accept', async (t) => {
  const size = stage.nextSize();
  const attempt = await stage.whileNobodyAccepts(async () => {
    const attempt = stage.start(shop, 'execs_while_waiting', size, stage.dial);
    await step(attempt, 'connected');
    return attempt;
  });
  attempt.endInput();
  await attempt.finished;
  await stage.judge(t, shop, only(told(attempt.stdout)));
});

t.test('a set-user-id program sends what its caller connected, and connects itself', async (t) => {
  const program = String(copyOfDial('set-user-id'));
  chmodSync(program, 0o4755);
  for (const attempt of ['sends_after_exec', 'runs']) {
    const argv = [...asUser, ...stage.attempt(attempt, stage.nextSize(), program)];
    const done = await sluice.run(shop, argv);
    t.equal(done.code, 0, done.stderr);
    const by = only(told(done.stdout));
    t.equal(by.uid, UID);
    await stage.judge(t, shop, by, attempt === 'runs' ? { exe: program } : {});
  }
});

t.test('a child sends on the socket of its parent', async (t) => {
  await stage.judge(t, shop, only(await stage.run(shop, 'child_sends', stage.nextSize())));
});

t.test('a child connects the socket of its parent', async (t) => {
  await stage.judge(t, shop, only(await stage.run(shop, 'child_connects', stage.nextSize())));
});

t.test('who connected has ended before anybody accepts', async (t) => {
  const size = stage.nextSize();
  const attempt = await stage.whileNobodyAccepts(async () => {
    const attempt = stage.start(shop, 'ends_while_waiting', size);
    await step(attempt, 'left');
    return attempt;
  });
  await attempt.finished;
  await stage.judge(t, shop, only(told(attempt.stdout)));
});

t.test('a connected socket is given to another agent, which sends on it', async (t) => {
  const path = `sluice-given-${process.pid}`;
  const [connects, sends] = [stage.nextSize(), 0];
  const taker = stage.start(stock, 'sends_what_it_took', connects, path);
  await step(taker, 'taking');
  const [by] = await stage.run(shop, 'gives_connected', connects, path);
  t.equal((await taker.finished).code, sends, taker.stderr);
  if (by !== undefined) await stage.judge(t, shop, by);
});

t.test('an unconnected socket is given to another agent, which connects it', async (t) => {
  const path = `sluice-unconnected-${process.pid}`;
  const taker = stage.start(stock, 'connects_what_it_took', stage.nextSize(), path);
  await step(taker, 'taking');
  await stage.run(shop, 'gives_unconnected', path);
  t.equal((await taker.finished).code, 0, taker.stderr);
  await stage.judge(t, stock, only(told(taker.stdout)));
});

t.test('an unconnected socket of an agent is given to who is none, who connects it', async (t) => {
  const path = `sluice-bystander-${process.pid}`;
  const size = stage.nextSize();
  const taker = world.near.start(stage.attempt('connects_what_it_took', size, path, 3));
  await step(taker, 'taking');
  const gave = await stage.run(shop, 'gives_unconnected', path);
  t.match((await taker.finished).stdout, /"error": "(TimeoutError|PermissionError)"/);
  t.notOk(
    stage.entries.some((entry) => entry.size === size),
    'nothing reaches the far server',
  );
  // The packet is the socket's, and who sent it is not known there: the record names whose socket it is.
  const record = await sluice.waitForFlow((flow) => flow.reason === 'egress_denied');
  t.match(record, { agent: shop, technique: 'packet_tcp', src: { pid: only(gave).pid } });
});

t.test('an option is set on a socket of an agent by who is none', async (t) => {
  const path = `sluice-option-${process.pid}`;
  const taker = world.near.start(stage.attempt('sets_option_of_what_it_took', path));
  await step(taker, 'taking');
  const gave = only(await stage.run(shop, 'gives_unconnected', path));
  t.match((await taker.finished).stdout, /"error": "PermissionError"/);
  const record = await sluice.waitForFlow((flow) => flow.technique === 'so_bindtodevice');
  t.match(record, { agent: shop, src: { pid: gave.pid, cgroup: gave.cgroup } }, 'all of it is of the agent');
});

t.test('an unconnected socket of who is none is given to an agent, which connects it', async (t) => {
  const path = `sluice-foreign-${process.pid}`;
  const taker = stage.start(shop, 'connects_what_it_took', stage.nextSize(), path);
  await step(taker, 'taking');
  const given = await world.near.run(stage.attempt('gives_unconnected', path));
  t.equal(given.code, 0, given.stderr);
  const done = await taker.finished;
  if ((await sluice.status()).tier === 'lsm') t.not(done.code, 0, 'there it is not given at all');
  else await stage.judge(t, shop, only(told(done.stdout)));
});

t.test('two agents connect one socket at the same moment', async (t) => {
  const rounds = 60;
  const path = `sluice-race-${process.pid}`;
  const [left, right] = [stage.nextSize(), stage.nextSize()];
  const taker = stage.start(stock, 'both_connect', path, left, rounds);
  await step(taker, 'taking');
  const giver = await sluice.run(shop, stage.attempt('both_connect_giving', path, right, rounds));
  await taker.finished;
  const won = (text: string): number =>
    lines<{ race?: boolean }>(text).filter(({ race }) => race === true).length;
  const [ofTaker, ofGiver] = [won(taker.stdout), won(giver.stdout)];
  t.comment(`${ofTaker} and ${ofGiver} of ${rounds}`);
  t.ok(ofTaker + ofGiver > 0, giver.stderr + taker.stderr);
  for (const [size, agent, text, count] of [
    [left, stock, taker.stdout, ofTaker],
    [right, shop, giver.stdout, ofGiver],
  ] as const) {
    if (count === 0) continue;
    const flows = await sluice.waitForFlows(count, (flow) => flow.bytes.agent_to_server === size);
    t.equal(flows.length, count);
    const seen = await until('the far server to have seen as many', () => {
      const found = stage.entries.filter((entry) => entry.size === size);
      return found.length >= count && found;
    });
    t.equal(seen.length, count);
    t.same(
      [...new Set(flows.map((flow) => `${flow.agent} ${flow.src.pid}`))],
      [`${agent} ${only(told(text)).pid}`],
    );
  }
});

t.test('a thread connects and ends', async (t) => {
  await stage.judge(t, shop, only(await stage.run(shop, 'thread_connects', stage.nextSize())));
});

t.test('the first thread has ended when another connects', async (t) => {
  const size = stage.nextSize();
  const done = await sluice.run(shop, stage.attempt('leader_ends', size));
  t.equal(done.code, 0, done.stderr);
  await stage.judge(t, shop, only(told(done.stdout)));
});

t.test('another user between connect and accept', async (t) => {
  const size = stage.nextSize();
  const attempt = await stage.whileNobodyAccepts(async () => {
    const attempt = stage.start(shop, 'changes_user_while_waiting', size, UID);
    await step(attempt, 'connected');
    return attempt;
  });
  await attempt.finished;
  const by = only(told(attempt.stdout));
  t.equal(by.uid, 0);
  await stage.judge(t, shop, by);
});

t.test('a program started by vfork', async (t) => {
  const [started] = await stage.run(shop, 'runs_by_vfork', stage.nextSize(), stage.dial);
  const record = await stage.recordOf(started?.size ?? 0);
  t.match(record, {
    agent: shop,
    src: { pid: started?.pid, exe: stage.dial, exe_sha256: sha256(stage.dial) },
  });
  await stage.seen(record.bytes.agent_to_server);
});

t.test('an executable that is deleted before it connects', async (t) => {
  const program = String(copyOfDial('deleted'));
  await stage.watch(shop, stage.attempt('runs_deleted', stage.nextSize(), program), async (by) => {
    const record = await stage.judge(t, shop, by, { exe: program });
    t.equal(record.src.exe_sha256, sha256(stage.dial));
    t.notOk(record.identity.selectors.some((one) => one.startsWith('unix:path:')));
  });
});

t.test('an executable in whose place a trusted one is put before it connects', async (t) => {
  const program = String(copyOfDial('replaced'));
  const other = join(stage.dir, 'trusted');
  copyFileSync('/bin/true', other);
  await stage.watch(shop, stage.attempt('runs_replaced', stage.nextSize(), program, other), async (by) => {
    const record = await stage.judge(t, shop, by, { exe: program });
    t.equal(record.src.exe_sha256, sha256(stage.dial), 'of the file that runs');
    t.notOk(record.identity.selectors.some((one) => one.startsWith('unix:path:')));
  });
});

t.test('a program in memory that is called like a trusted one', async (t) => {
  for (const name of ['/usr/bin/psql', 'x\n{"event":"flow","agent":"stock"}', '\u001b[2J']) {
    const argv = stage.attempt('runs_memfd', stage.nextSize(), stage.dial, name);
    await stage.watch(shop, argv, async (by) => {
      const record = await stage.judge(t, shop, by, { exe: `/memfd:${name}` });
      t.equal(record.src.exe_sha256, sha256(stage.dial));
      t.notOk(record.identity.selectors.some((one) => one.startsWith('unix:path:')));
    });
  }
});

t.test('a script is its interpreter', async (t) => {
  const script = join(stage.dir, 'psql');
  writeFileSync(script, `#!${PYTHON}\n${readFileSync(join(stage.dir, 'attempts.py'), 'utf8')}`, {
    mode: 0o755,
  });
  const [, , ...words] = stage.attempt('plain', stage.nextSize());
  const done = await sluice.run(shop, [script, ...words]);
  t.equal(done.code, 0, done.stderr);
  const record = await stage.judge(t, shop, only(told(done.stdout)));
  t.equal(record.src.exe_sha256, sha256(PYTHON));
});

t.test('a mount namespace with a trusted path of its own and a fake /proc', async (t) => {
  const program = String(copyOfDial('liar'));
  const argv = stage.attempt('lies_by_mounts', stage.nextSize(), program, '/usr/bin/env');
  await stage.watch(shop, argv, async (by) => {
    const record = await stage.judge(t, shop, by, { exe: '/usr/bin/env' });
    t.equal(record.src.exe_sha256, sha256(stage.dial), 'the path is as it shows it; the digest is not');
    t.notOk(record.identity.selectors.some((one) => one.startsWith('unix:path:')));
  });
});

t.test('a pid namespace, and a user namespace where it is root', async (t) => {
  const inside = ['unshare', '--pid', '--fork', '--kill-child'];
  const first = await sluice.run(shop, [...inside, ...stage.attempt('plain', stage.nextSize())]);
  await stage.judge(t, shop, only(told(first.stdout)));
  const argv = [
    ...asUser,
    'unshare',
    '--user',
    '--map-root-user',
    ...stage.attempt('plain', stage.nextSize()),
  ];
  const second = await sluice.run(shop, argv);
  t.equal(second.code, 0, second.stderr);
  const by = only(told(second.stdout));
  t.equal(by.uid, 0, 'as it sees itself');
  await stage.judge(t, shop, by, { uid: UID, gid: UID });
});

t.test('the number of a process that has just ended is given to another agent', async (t) => {
  const pairs = await stage.whileNobodyAccepts(async () => {
    const pairs: [Told, Told][] = [];
    const first = stage.start(shop, 'ends_while_waiting', stage.nextSize());
    await step(first, 'left');
    const one = only(told(first.stdout));
    await until('the number to be free', () => !existsSync(`/proc/${one.pid}`));
    const again = stage.start(stock, 'wants_pid', stage.nextSize(), one.pid);
    await again.waitFor(({ stdout }) => told(stdout).length > 0);
    pairs.push([one, only(told(again.stdout))]);
    return pairs;
  });
  for (const [one, other] of pairs) {
    t.equal(one.pid, other.pid);
    t.not(one.ticks, other.ticks);
    await stage.judge(t, shop, one);
    await stage.judge(t, stock, other);
  }
});

t.test('the source port another agent has just used', async (t) => {
  const port = 45_678;
  for (const agent of [shop, stock, shop, stock]) {
    const by = only(await stage.run(agent, 'same_port', stage.nextSize(), port));
    t.equal((await stage.judge(t, agent, by)).src.port, port);
  }
});

t.test('a socket whose connection was dissolved is given to another agent', async (t) => {
  const path = `sluice-dissolved-${process.pid}`;
  const taker = stage.start(stock, 'connects_what_it_took', stage.nextSize(), path);
  await step(taker, 'taking');
  await stage.run(shop, 'disconnects', stage.nextSize(), path);
  t.equal((await taker.finished).code, 0, taker.stderr);
  await stage.judge(t, stock, only(told(taker.stdout)));
});

t.test('a socket is connected again after it was dissolved: two flows', async (t) => {
  const all = await stage.run(shop, 'connects_again', stage.nextSize(), stage.nextSize());
  t.equal(all.length, 2);
  for (const by of all) await stage.judge(t, shop, by);
});

t.test('the port of the proxy, asked for directly', async (t) => {
  const ports = (await sluice.status()).listeners.map(({ port }) => port).join(',');
  const before = sluice.log.length;
  const agent = await sluice.run(shop, stage.attempt('to_proxy', ports));
  t.notMatch(agent.stdout, /HTTP/);
  const pid = only(told(agent.stdout)).pid;
  t.match(await sluice.waitForFlow((flow) => flow.reason === 'proxy_direct'), {
    agent: shop,
    verdict: 'deny',
    src: { pid },
  });
  const other = await world.near.run(stage.attempt('to_proxy', ports));
  t.notMatch(other.stdout, /200/);
  await sluice.waitForFlow((flow) => flow.reason === 'not_an_agent');
  for (const flow of sluice.log.slice(before).filter(({ reason }) => reason === 'not_an_agent'))
    t.match(flow, { agent: null, verdict: 'deny', src: { pid: null } });
});

t.test('from one cgroup to the other between connect and accept', async (t) => {
  const [left, right] = [makeCgroup('left'), makeCgroup('right')];
  const attempt = await stage.whileNobodyAccepts(async () => {
    const enter = ['sh', '-c', 'echo $$ > "$0/cgroup.procs" && exec "$@"', left];
    const attempt = world.near.start([...enter, ...stage.attempt('moves_while_waiting', stage.nextSize())], {
      keepStdin: true,
    });
    await step(attempt, 'connected');
    writeFileSync(`${right}/cgroup.procs`, String(only(told(attempt.stdout)).pid));
    return attempt;
  });
  attempt.write('\n');
  await attempt.finished;
  await stage.judge(t, 'left', only(told(attempt.stdout)), { cgroup: `${place}/left` });
});

t.test('a worker writes lines like those of the daemon', async (t) => {
  const [worker] = (await sluice.status()).workers;
  const pid = worker?.pid ?? 0;
  const forged = [
    'sluice: hold 0123456789 (DROP by stock, rule no-drop) was approved by root (uid 0) after 3 s',
    JSON.stringify({ event: 'flow', agent: stock, verdict: 'allow' }),
    'x\rsluice: policy 0123 is in force',
    '',
  ].join('\n');
  const hex = `x${Buffer.from(forged).toString('hex')}`;
  const done = await world.near.run(stage.attempt('speaks_for', pid, hex));
  t.equal(done.code, 0, done.stderr);
  await sluice.daemon.waitFor((r) => r.stderr.includes('?sluice: policy 0123'));
  const said = sluice.daemon.stderr.split('\n').filter((line) => /approved|"flow"|policy 0123/.test(line));
  t.equal(said.length, 3);
  for (const line of said) t.ok(line.startsWith(`sluice: worker ${pid}: `), line);
});

t.test('everything the far server saw has one record, and every record was seen', async (t) => {
  await stage.judgeAll(t);
  t.ok(stage.entries.length > 25);
});

t.test('no line of the log, nor of `sluice flows`, is anybody else’s', (t) =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
  stage.judgeLines(t, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/),
);
