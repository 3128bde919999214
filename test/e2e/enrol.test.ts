/**
 * Processes that run already: found when policy comes to name them, shown by `sluice agents`, and made agents by
 * `sluice enrol`, with what they have open. What gets across is judged by the server's own log and the capture.
 */
import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import t from 'tap';
import type { AgentProcess, Enrolled } from '#src/api/types.ts';
import { findCgroup2 } from '#src/kernel/cgroup.ts';
import { type Running, until } from '#test/support/command.ts';
import { FAR } from '#test/support/network.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';

t.setTimeout(240_000);
const world = await World.open([]);
const root = findCgroup2();
const unit = `sluice-test-${process.pid}.service`;
const unitPath = `/system.slice/${unit}`;
const UID = 61_344;
const policy = `version: 1
agents:
  - { name: late, match: [{ run: late }] }
  - { name: other, match: [{ uid: ${UID} }] }
`;
t.teardown(async () => {
  await world.close();
  rmdirSync(`${root}${unitPath}`);
  if (madeSlice) rmdirSync(`${root}/system.slice`);
});
let madeSlice = false;
try {
  mkdirSync(`${root}/system.slice`);
  madeSlice = true;
} catch {
  // systemd's own.
}
mkdirSync(`${root}${unitPath}`);

/** Says what it hears, and when it was cut off. */
const SERVER = `
import socket, threading
def serve(c):
    try:
        while True:
            data = c.recv(4096)
            if not data: break
            print(data.decode(), end="", flush=True)
        print("END", flush=True)
    except OSError as e: print("RESET", flush=True)
s = socket.socket(socket.AF_INET6); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("::", 7071)); s.listen(64); print("READY", flush=True)
while True: threading.Thread(target=serve, args=(s.accept()[0],)).start()
`;
const server = world.far.start(['/usr/bin/python3', '-u', '-c', SERVER]);
await server.waitFor((r) => r.stdout.includes('READY'));
const sluice = await TestSluice.start(world, { policy });

/** Every kind of socket, one of them busy, and a child that has a connection too. */
const CLIENT = `
import ctypes, os, socket, sys, time, threading
name, host = sys.argv[1:]
busy = socket.create_connection((host, 7071))
reading = socket.create_connection((host, 7071))
mapped = socket.socket(socket.AF_INET6); mapped.connect(("::ffff:" + host, 7071))
listening = socket.socket(); listening.bind(("127.0.0.1", 0)); listening.listen()
datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); datagram.connect((host, 7072))
unix = socket.socketpair()
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 254)
packet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
def read():
    try: reading.recv(1)
    except OSError as e: print(f"read {e.errno};", flush=True)
    else: print("read ended;", flush=True)
threading.Thread(target=read).start()
if os.fork() == 0:
    ctypes.CDLL(None).prctl(1, 9)
    name += "-child"; busy = socket.create_connection((host, 7071))
print(f"{name} connected {os.getpid()};", flush=True)
n = last = 0
while True:
    now = time.monotonic_ns()
    try: busy.sendall(f"{name} {n} {now}\\n".encode())
    except OSError as e: print(f"cut {e.errno} {last};", flush=True); break
    n += 1; last = now; time.sleep(0.005)
time.sleep(0.2)
try: socket.create_connection((host, 7071), 20).sendall(b"SLIPPED-PAST\\n")
except OSError as e: print(f"again {e.errno};", flush=True)
else: print("again taken in;", flush=True)
time.sleep(600)
`;
/** A bystander until it is enrolled, and its child. */
async function startClient(name: string): Promise<{ readonly client: Running; readonly pids: number[] }> {
  const python = ['/usr/bin/python3', '-u', '-c', CLIENT, name, FAR.ipv4];
  const client = world.near.start(world.agentCommand(python));
  await client.waitFor((r) => r.stdout.split(';').length === 3);
  await until('its first bytes', () => server.stdout.includes(`${name}-child 3 `));
  const pids = [name, `${name}-child`].map((who) =>
    Number(new RegExp(`\\b${who} connected (\\d+);`).exec(client.stdout)?.[1]),
  );
  return { client, pids };
}

/** Now, on the clock by which clients stamp what they send. */
function monotonicNs(): number {
  return Number(process.hrtime.bigint());
}

/** Waits until both were cut off, and says which were cut after that moment by what they had sent. */
async function sentAfter(client: Running, name: string, mark: number): Promise<string[]> {
  const cuts = (text: string): RegExpExecArray[] => [...text.matchAll(/\bcut \d+ (\d+);/g)];
  await client.waitFor((r) => cuts(r.stdout).length === 2);
  const heard = [...server.stdout.matchAll(new RegExp(`^${name}(?:-child)? \\d+ (\\d+)$`, 'gm'))];
  return [...cuts(client.stdout), ...heard].filter(([, at]) => Number(at) > mark).map(([line]) => line);
}

async function agents(): Promise<AgentProcess[]> {
  const { stdout } = await sluice.cli(['agents', '--output', 'json']);
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as AgentProcess);
}

t.test('enrolling tells what is open; with --now it is cut, and the process is governed', async (t) => {
  const { client, pids } = await startClient('one');
  const [pid = 0] = pids;
  const gentle = await sluice.cli(['enrol', String(pid), '--as', 'late', '--output', 'json']);
  t.equal(gentle.code, 0, gentle.stderr);
  const found = JSON.parse(gentle.stdout) as Enrolled;
  t.equal(found.processes.length, 2, 'the child as well');
  t.ok(
    found.sockets.some(
      ({ kind, state, outcome }) => kind === 'tcp' && state === 'connected' && outcome === 'left',
    ),
  );
  t.match(
    (await agents()).find((agent) => agent.pid === pid),
    {
      agent: 'late',
      reason: 'enrolled',
      wasRunning: true,
      exe: /python3/,
    },
  );
  const before = (await agents()).find((agent) => agent.pid === pid);
  t.ok((before?.sockets.ungoverned ?? 0) >= 5, JSON.stringify(before));

  const done = await sluice.cli(['enrol', String(pid), '--as', 'late', '--now', '--output', 'json']);
  const mark = monotonicNs();
  t.equal(done.code, 0, done.stderr);
  const enrolled = JSON.parse(done.stdout) as Enrolled;
  const outcomes = enrolled.sockets.map(({ kind, state, outcome }) => `${kind} ${state} ${outcome}`);
  t.ok(outcomes.filter((text) => text === 'tcp connected destroyed').length >= 4, outcomes.join(', '));
  for (const one of [
    'tcp listening governed',
    'udp connected destroyed',
    'unix connected ungoverned',
    'raw unconnected governed',
    'packet unconnected ungoverned',
  ])
    t.ok(outcomes.includes(one), `${one}: ${outcomes.join(', ')}`);
  t.notOk(outcomes.some((text) => text.endsWith('left')));
  t.same(await sentAfter(client, 'one', mark), [], 'nothing after the answer');
  t.match(client.stdout, /cut (32|104|103) /, 'it is told');
  await client.waitFor((r) => /read [^;]+;/.test(r.stdout));
  await client.waitFor((r) => r.stdout.match(/again [^;]+;/g)?.length === 2);
  t.match(
    (await agents()).find((agent) => agent.pid === pid),
    { sockets: { ungoverned: 0 } },
  );
  await sluice.waitForFlow((record) => record.agent === 'late' && record.verdict === 'deny');
  t.notMatch(server.stdout, /SLIPPED/);
  await client.stop('SIGKILL');
});

t.test('a unit, by its name', async (t) => {
  const { client, pids } = await startClient('two');
  for (const pid of pids) writeFileSync(`${root}${unitPath}/cgroup.procs`, String(pid));
  const done = await sluice.cli(['enrol', unit, '--as', 'late', '--now']);
  const mark = monotonicNs();
  t.equal(done.code, 0, done.stderr);
  t.match(done.stdout, /^2 processes became late/);
  t.same(await sentAfter(client, 'two', mark), []);
  await client.stop('SIGKILL');
});

t.test('what cannot be is refused, and says why', async (t) => {
  const refusals: [string[], RegExp][] = [
    [['4194303', '--as', 'late'], /no process 4194303/],
    [['none.service', '--as', 'late'], /no unit none\.service/],
    [['1', '--as', 'late'], /process 1/],
    [[String((await sluice.status()).pid), '--as', 'late'], /Sluice itself/],
    [['1', '--as', 'none'], /no agent of the policy is named none/],
  ];
  for (const [argv, message] of refusals) {
    const done = await sluice.cli(['enrol', ...argv]);
    t.equal(done.code, 2, argv.join(' '));
    t.match(done.stderr, message);
  }
});

t.test('a process policy comes to name while it runs is shown as such, and cannot change it', async (t) => {
  const uid = UID + 1;
  const script = 'import os,time\nprint("up",flush=True)\ntime.sleep(600)';
  const running = world.near.start(
    world.agentCommand(['setpriv', `--reuid=${uid}`, '--clear-groups', '/usr/bin/python3', '-c', script]),
  );
  await running.waitFor((r) => r.stdout.includes('up'));
  t.notOk((await agents()).some((agent) => agent.uid === uid));
  sluice.writePolicy(policy.replace(String(UID), `"${UID}-${UID + 9}"`));
  t.equal((await sluice.cli(['policy', 'apply', sluice.policyPath])).code, 0);
  const found = (await agents()).find((agent) => agent.uid === uid);
  t.match(found, { agent: 'other', reason: 'uid', wasRunning: true, inherited: false });
  await sluice.logSays(/processes ran before policy named them/);
  const again = await sluice.cli(['enrol', String(found?.pid), '--as', 'late']);
  t.equal(again.code, 2);
  t.match(again.stderr, /is the agent other already/);
  await running.stop('SIGKILL');
});
