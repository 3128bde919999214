/**
 * Tables of the kernel plane that forget, and what cannot be stored at all: who falls out is asked about again and is never
 * let go, nor taken for somebody else.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import t from 'tap';
import { homeNamespace } from '#src/kernel/namespace.ts';
import { NamespaceRing } from '#src/kernel/ring.ts';
import { compileInbound } from '#src/policy/compile.ts';
import { inboundRanges } from '#src/policy/inbound.ts';
import { Running, run, until } from '#test/support/command.ts';
import { claimWorld, dismantle } from '#test/support/leftovers.ts';
import { makeNetwork, NEAR } from '#test/support/network.ts';
import { AGENT_ID, NO_TABLES, PIN_DIRECTORY, PlaneFixture, pythonIn } from '#test/support/plane.ts';

const SIZES = { 'cgroup-cache': 2, 'udp-peers': 2, 'dns-questions': 4, namespaces: 4 } as const;
// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(280_000);
const fixture = await PlaneFixture.open(1, SIZES);
const world = claimWorld();
const network = await makeNetwork(world);
t.teardown(async () => {
  dismantle(world);
  await fixture.close();
});
const cgroups = [{ path: fixture.agentCgroup, agentId: AGENT_ID }];
t.beforeEach(() => {
  fixture.reset();
  fixture.enrol({ ...NO_TABLES, cgroups, dns: true });
});

t.test(
  'cgroup-cache: twenty cgroups in a cache of two are each what they are, again and again',
  async (t) => {
    const asked: number[] = [];
    const server = createServer((socket) => socket.on('error', () => undefined).end('hello from the server'));
    server.on('connection', ({ remotePort }) => asked.push(remotePort ?? 0));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.teardown(() => server.close());
    const address = server.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    const connect = `
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 30); print(s.recv(100).decode())`;
    const self = fixture.directory.replace(/agent$/, 'self');
    const places = Array.from({ length: 10 }, (_, n) => [
      { directory: `${fixture.directory}/n${n}`, answer: 'hello from the proxy\n' },
      { directory: `${self}/n${n}`, answer: 'hello from the server\n' },
    ]).flat();
    for (const { directory } of places) mkdirSync(directory, { recursive: true });
    for (const _round of [1, 2])
      for (const { directory, answer } of places)
        t.equal((await fixture.agentIn(directory, connect, String(port))).stdout, answer, directory);
    t.equal(asked.length, places.length, 'who is no agent reached the server, and nobody else did');
    t.same([...new Set(fixture.accepted.map(({ facts }) => facts?.agentId))], [AGENT_ID]);
  },
);

t.test('dns-questions: what falls out is nobody’s and dropped; the next is answered', (t) => {
  const script = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 0))
for n in range(20): s.sendto(b"question %d" % n, ("192.0.2.53", 53))
print("sent")`;
  // In one go: nobody reads meanwhile.
  const [shell, ...argv] = pythonIn(fixture.directory, script);
  execFileSync(shell, argv, { timeout: 60_000 });
  return until('those that are left', () => fixture.asked.length > 0).then(async () => {
    const next = await fixture.agent(
      `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(30)
s.sendto(b"next", ("192.0.2.53", 53)); print(s.recv(100).decode())`,
    );
    t.equal(next.stdout, 'answer to next\n', next.stderr);
    const questions = fixture.asked.map(({ bytes }) => String(bytes)).slice(0, -1);
    t.ok(questions.length <= SIZES['dns-questions'], `${questions.length} of 20 were asked`);
    t.equal(questions.at(-1), 'question 19', 'the newest');
    const whose = fixture.asked.map(({ kernel }) => [kernel.facts.agentId, kernel.facts.dstPort].join(' '));
    t.same([...new Set(whose)], [`${AGENT_ID} 53`]);
  });
});

t.test('udp-peers: who falls out is not answered until it asks again', async (t) => {
  const rule = compileInbound({
    name: 'far',
    agents: ['a'],
    protocol: 'udp',
    ports: [8053],
    from: ['0.0.0.0/0'],
    action: 'exempt',
    reason: 'a test',
  });
  const ranges = inboundRanges({ inbound: [rule] }, 'a');
  fixture.enrol({ ...NO_TABLES, cgroups, inbound: [{ agentId: AGENT_ID, ranges }] });
  // Whoever asks is answered when somebody says "now", all of them.
  const script = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 8053)); print("ready")
peers = []
while True:
    data, peer = s.recvfrom(100); peers.append(peer); print("asked")
    if data != b"now": continue
    for one in peers:
        try: s.sendto(b"ANSWER", one); print("answered", one[1])
        except OSError as error: print(type(error).__name__)
    peers.clear(); print("through")`;
  const server = new Running(network.near.wrap(pythonIn(fixture.directory, script)), {
    timeoutMs: 120_000,
  });
  t.teardown(() => server.stop('SIGKILL'));
  await server.waitFor((r) => r.stdout.includes('ready\n'));
  // What it is answered it counts when it is told that all has been said.
  const client = `
import socket, sys
peers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(6)]
for s in peers: s.settimeout(0.5); s.connect(("${NEAR.ipv4}", 8053))
def answers():
    count = 0
    for s in peers:
        try: count += s.recv(100) == b"ANSWER"
        except TimeoutError: pass
    return count
for s in peers[:5]: s.send(b"later")
sys.stdin.readline(); peers[5].send(b"now")
sys.stdin.readline(); print(answers(), flush=True)
peers[0].settimeout(60); peers[0].send(b"now")
print(peers[0].recv(100).decode())`;
  const asking = network.far.start(['python3', '-c', client], { keepStdin: true });
  t.teardown(() => asking.stop('SIGKILL'));
  await server.waitFor((r) => r.stdout.match(/asked/g)?.length === 5);
  asking.write('\n');
  await server.waitFor((r) => r.stdout.includes('through\n'));
  asking.write('\n');
  const done = await asking.finished;
  const [late = '', again] = done.stdout.split('\n');
  t.ok(Number(late) >= 1 && Number(late) <= SIZES['udp-peers'], `${late} of 6 were answered`);
  t.equal(again, 'ANSWER', done.stderr);
  t.equal(server.stdout.match(/PermissionError/g)?.length, 6 - Number(late), server.stdout);
});

t.test('ring_netns: what had no room is asked again', async (t) => {
  fixture.plane.serveNamespaces(homeNamespace().cookie);
  // Each socket stays: its SYN is sent again and again. All of them begin at the same time: the waits between become longer.
  const count = 500;
  const script = `
import ctypes, fcntl, os, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
kept = []
for n in range(${count}):
    assert libc.unshare(0x40000000) == 0
    s = socket.socket()
    fcntl.ioctl(s, 0x8914, struct.pack("16sh", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
    kept.append((s, os.open("/proc/self/ns/net", os.O_RDONLY)))
for s, _ in kept: s.setblocking(False); s.connect_ex(("127.0.0.1", 9))
print("there", flush=True)
sys.stdin.read()`;
  const agent = new Running(pythonIn(fixture.directory, script), {
    timeoutMs: 240_000,
    keepStdin: true,
  });
  t.teardown(() => agent.stop('SIGKILL'));
  await agent.waitFor((r) => r.stdout.includes('there\n') || r.stderr !== '', 240_000);
  t.equal(agent.stderr, '');
  const asked = new Set<bigint>();
  // What the ring holds is read in one go.
  let first = 0;
  const ring = new NamespaceRing(PIN_DIRECTORY, ({ cookie }) => {
    asked.add(cookie);
    setImmediate(() => {
      first ||= asked.size;
    });
  });
  t.teardown(() => ring.close());
  await until('the first', () => first);
  t.ok(first < count, `the ring had room for ${first}`);
  await until('each to be asked about', () => asked.size >= count);
  t.pass(`all of ${asked.size}`);
});

t.test('socks: a socket whose state the kernel has no memory for is refused', async (t) => {
  // What an option of a socket may take (socket(7), optmem_max) is a namespace's own from Linux 6.8 on.
  const script = `
import errno, os, socket, sys
limit = "/proc/sys/net/core/optmem_max"
if not os.path.exists(limit): print("everybody's"); sys.exit()
early = socket.socket()
open(limit, "w").write("0")
open(sys.argv[1] + "/cgroup.procs", "w").write("0")
def attempt(work):
    try: work(); print("let out")
    except OSError as error: print(errno.errorcode[error.errno])
attempt(lambda: early.connect(("192.0.2.1", 80)))
attempt(lambda: socket.socket().connect(("192.0.2.1", 80)))
attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))`;
  const lost = (): bigint => fixture.plane.counters().refused['state_lost'] ?? 0n;
  const before = lost();
  const done = await run(['unshare', '--net', 'python3', '-c', script, fixture.directory]);
  if (done.stdout === "everybody's\n") return t.pass('one limit for all namespaces: not tried');
  t.equal(done.stdout, 'EPERM\nEPERM\nEPERM\n', done.stderr);
  t.equal(lost() - before, 3n);
  return t.equal(fixture.accepted.length, 0);
});
