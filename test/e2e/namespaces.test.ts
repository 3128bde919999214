/**
 * Agents in network namespaces of their own: intercepted there by a listener of the daemon's, and reaching servers
 * by that namespace's routes. The judge is the capture on the namespace's own pair.
 */
import t from 'tap';
import { must, until } from '#test/support/command.ts';
import { BOX, BOX_GATEWAY, FAR } from '#test/support/network.ts';
import { RESPONSE_MARKER } from '#test/support/nginx.ts';
import { PYTHON, tcpClient } from '#test/support/python.ts';
import { RAW_PORTS } from '#test/support/raw-ports.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS, worldPolicy } from '#test/support/world-policy.ts';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(280_000);
const world = await World.open(['nginx', 'raw']);
t.teardown(() => world.close());
const box = await world.addBox();
const LOCAL_PORT = 7777;
const policy = worldPolicy(world, {
  rules: `
  - name: own-loopback
    agents: [${AGENTS.shop}]
    destinations: [own-loopback]
    action: exempt
    reason: A service beside the agent.`,
}).replace(
  'destinations:\n',
  `destinations:
  - name: own-loopback
    cidrs: [127.0.0.1]
    ports: [${LOCAL_PORT}]
    protocol: tls
    tls: { server_name: local.test }
`,
);
const sluice = await TestSluice.start(world, { policy });
const MARKER = 'REQUEST-MARKER-7b1f';
const home = (await sluice.status()).listeners[0]?.netns;

/** Namespaces with a listener, but the daemon's own. */
async function served(): Promise<string[]> {
  const { listeners } = await sluice.status();
  return [...new Set(listeners.map(({ netns }) => netns))].filter((netns) => netns !== home);
}

/** Of the proxy, the same in each. */
async function proxyPorts(): Promise<number[]> {
  return [...new Set((await sluice.status()).listeners.map(({ port }) => port))];
}

const noneServed = (): Promise<true> =>
  until('no namespace to be served', async () => ((await served()).length === 0 ? true : null));

/** An agent that stays, and does in `netns` (a path) what it is told: where to connect to, what to say, how long to wait. */
function puppet(agent: string, enter: readonly string[]) {
  const script = `
import os, socket, sys
print("ready", os.getpid(), flush=True)
for line in sys.stdin:
    host, port, text, seconds = line.split()
    try:
        s = socket.create_connection((host, int(port)), int(seconds))
        s.sendall(text.encode()); s.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := s.recv(65536): answer += chunk
        print("answer " + (answer.decode("latin1").strip() or "none"), flush=True)
    except OSError as error:
        print("error " + type(error).__name__, flush=True)
`;
  return sluice.start(agent, [...enter, PYTHON, '-c', script], { keepStdin: true });
}

/** Its own pid: what starts it has others. */
async function pidOf(who: ReturnType<typeof puppet>): Promise<string> {
  await who.waitFor((r) => /ready \d+\n/.test(r.stdout));
  return /ready (\d+)/.exec(who.stdout)?.[1] ?? '';
}

/** @param seconds for each step of it: many, unless it is to be in vain */
async function tell(who: ReturnType<typeof puppet>, line: string, seconds = 40): Promise<string> {
  await pidOf(who);
  const before = who.stdout.length;
  who.write(`${line} ${seconds}\n`);
  await who.waitFor((r) => r.stdout.endsWith('\n') && r.stdout.length > before, 120_000);
  return who.stdout.slice(before).trim();
}

const IN_VAIN_SECONDS = 5;

t.test('an agent in another network namespace is carried from there, over TLS', async (t) => {
  const [wire, boxWire] = [await world.capture('wire'), await world.capture('box')];
  const url = `http://shop.test/secret/${MARKER}`;
  for (const family of ['-4', '-6']) {
    const done = await sluice.run(AGENTS.shop, box.wrap(['curl', '-sS', family, '--max-time', '60', url]));
    t.equal(done.code, 0, done.stderr);
    t.match(done.stdout, RESPONSE_MARKER);
  }
  t.equal(await boxWire.assertAllTls(), 2);
  await boxWire.assertNoPlaintext([MARKER, RESPONSE_MARKER]);
  t.same(await wire.conversations(), [], 'nothing of it by the routes of the host');
  for (const client of [BOX.ipv4, BOX.ipv6])
    await world.nginx.waitForEntry((e) => e.client.replace('::ffff:', '') === client && e.status === '200');
});

t.test('its loopback is its own', async (t) => {
  const server = (says: string): string[] => [
    PYTHON,
    '-c',
    `
import socket, sys
server = socket.create_server(("127.0.0.1", ${LOCAL_PORT}))
print("listening", flush=True)
while True:
    s = server.accept()[0]
    s.sendall(b"${says}"); s.close()
`,
  ];
  const servers = [world.near.start(server('host')), box.start(server('box'))];
  for (const one of servers) await one.waitFor((r) => r.stdout.includes('listening'));
  const ask = tcpClient('127.0.0.1', LOCAL_PORT, '');
  t.equal((await sluice.run(AGENTS.shop, ask)).stdout, 'host');
  t.equal((await sluice.run(AGENTS.shop, box.wrap(ask))).stdout, 'box');
  const denied = await sluice.run(AGENTS.stock, box.wrap(ask));
  t.not(denied.stdout, 'box', 'by policy, like any other address');
  for (const one of servers) await one.stop('SIGKILL');
});

t.test('a connection that comes before the listener is held, not refused', async (t) => {
  await noneServed();
  // In the same process and at once: nobody can have opened a listener yet.
  const script = `
import ctypes, fcntl, socket, struct, time
libc = ctypes.CDLL(None, use_errno=True)
for attempt in range(20):
    assert libc.unshare(0x40000000) == 0
    lo = socket.socket()
    fcntl.ioctl(lo, 0x8914, struct.pack("16sh", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
    begun = time.monotonic()
    try:
        socket.create_connection(("127.0.0.1", 1), 20).close()
        print("connected", round((time.monotonic() - begun) * 1000))
    except OSError as error:
        print(type(error).__name__, error)
`;
  const done = await sluice.run(AGENTS.shop, [PYTHON, '-c', script], { timeoutMs: 120_000 });
  const lines = done.stdout.trim().split('\n');
  t.equal(lines.length, 20, done.stderr);
  t.same(
    lines.filter((line) => !line.startsWith('connected')),
    [],
  );
  t.comment(`milliseconds: ${lines.map((line) => line.split(' ')[1]).join(' ')}`);
  await noneServed();
});

t.test('a namespace dies with its agent: nothing of Sluice keeps it', async (t) => {
  await noneServed();
  const agent = puppet(AGENTS.shop, ['unshare', '--net']);
  const pid = await pidOf(agent);
  const inside = ['nsenter', `--net=/proc/${pid}/ns/net`, 'ip'];
  const links = (): Promise<string> => must(world.far.wrap(['ip', '-o', 'link', 'show']));
  await world.far.configure([
    `link add far2 type veth peer name d0 netns ${pid}`,
    'link set far2 up',
    'addr add 10.196.1.2/24 dev far2',
  ]);
  await must([...inside, '-batch', '-'], {
    input:
      'link set lo up\nlink set d0 up\naddr add 10.196.1.1/24 dev d0\nroute add default via 10.196.1.2\n',
  });
  t.match(await tell(agent, `${FAR.ipv4} ${RAW_PORTS.echo} ping`), /^answer ping/);
  t.match(await links(), /far2/);
  t.equal((await served()).length, 1);
  await agent.stop('SIGKILL');
  await until('the pair to vanish with the namespace', async () => !(await links()).includes('far2'));
  await noneServed();
});

t.test('a namespace that outlives its agents keeps no listener', async (t) => {
  const ports = await proxyPorts();
  const some = ports.map((port) => `sport = :${port}`).join(' or ');
  const listeners = (): Promise<string> => must(box.wrap(['ss', '-Hltn', some]));
  const agent = puppet(AGENTS.shop, box.wrap([]));
  t.match(await tell(agent, `${FAR.ipv4} ${RAW_PORTS.echo} ping`), /^answer ping/);
  const there = await listeners();
  for (const port of ports) for (const ip of ['127.0.0.1', '[::1]']) t.match(there, `${ip}:${port} `);
  await agent.stop('SIGKILL');
  await noneServed();
  // Workers have descriptors of their own, and give them up when they are told.
  await until('its listeners to be closed', async () => (await listeners()) === '');
});

t.test('a killed daemon leaves nothing open there, and the next one serves who is there', async (t) => {
  const capture = await world.capture('box');
  const agent = puppet(AGENTS.shop, box.wrap([]));
  const line = `${FAR.ipv4} ${RAW_PORTS.echo} ${MARKER}`;
  t.match(await tell(agent, line), /^answer REQUEST/);
  await sluice.stop('SIGKILL');
  const before = (await capture.conversations()).length;
  for (let attempt = 0; attempt < 3; attempt += 1) t.equal(await tell(agent, line), 'error PermissionError');
  t.equal((await capture.conversations()).length, before, 'nothing crosses');
  await sluice.startDaemon();
  t.match(await tell(agent, line), /^answer REQUEST/);
  await capture.assertNoPlaintext([MARKER]);
  await agent.stop('SIGKILL');
});

t.test('a worker that dies is replaced there as well', async (t) => {
  const agent = puppet(AGENTS.shop, box.wrap([]));
  const line = `${FAR.ipv4} ${RAW_PORTS.echo} again`;
  t.match(await tell(agent, line), /^answer again/);
  for (const { pid } of (await sluice.status()).workers) if (pid !== null) process.kill(pid, 'SIGKILL');
  t.match(await tell(agent, line), /^answer again/, 'the connection waited in the queue of the listener');
  await agent.stop('SIGKILL');
});

t.test('a namespace an unprivileged user made for itself gets no listener', async (t) => {
  await noneServed();
  const script = `
import socket, subprocess, sys, time
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["nft", "-f", "-"], input=b"""
table ip n {
  chain out { type nat hook output priority -100; tcp dport 1-65535 dnat to 127.0.0.1:4444; }
}""", check=True)
sys.stdin.readline()
for attempt in range(3):
    try:
        socket.create_connection(("127.0.0.1", 80), 8)
        print("connected")
    except OSError as error:
        print(type(error).__name__)
    time.sleep(0.1)
`;
  const user = ['setpriv', '--reuid=4242', '--regid=4242', '--clear-groups', 'unshare', '-Urn'];
  const agent = sluice.start(AGENTS.shop, [...user, PYTHON, '-c', script], { keepStdin: true });
  // Until the daemon has refused it a connection is held.
  await until(
    'the namespace to be refused',
    async () => ((await sluice.status()).counters['namespaces.refused_owner'] ?? 0) > 0,
  );
  agent.write('go\n');
  const done = await agent.finished;
  t.equal(done.stdout, 'PermissionError\n'.repeat(3), done.stderr);
  t.same(await served(), []);
});

t.test('address translation in the namespace neither diverts nor disguises', async (t) => {
  const port = `{ ${(await proxyPorts()).join(', ')} }`;
  const nft = (rules: string): Promise<string> =>
    must(box.wrap(['nft', '-f', '-']), { input: `flush ruleset\n${rules}` });
  const chain = (hook: string, rule: string): string =>
    `table ip n {\n chain c {\n type nat hook ${hook}\n ${rule}\n }\n}`;
  t.teardown(() => nft(''));
  const impostor = box.start([
    PYTHON,
    '-c',
    `
import socket
server = socket.create_server(("127.0.0.1", 4444))
print("listening", flush=True)
while True: print("got", server.accept()[0].recv(100), flush=True)
`,
  ]);
  await impostor.waitFor((r) => r.stdout.includes('listening'));
  const agent = puppet(AGENTS.shop, box.wrap([]));
  const line = `${FAR.ipv4} ${RAW_PORTS.echo} ${MARKER}`;
  t.match(await tell(agent, line), /^answer/);

  const to = (target: string): string => chain('output priority -100', `tcp dport ${port} dnat to ${target}`);
  await nft(to('127.0.0.1:4444'));
  t.equal(await tell(agent, line, IN_VAIN_SECONDS), 'error TimeoutError', 'to an impostor');
  t.notMatch(impostor.stdout, /got/);
  await impostor.stop('SIGKILL');
  const capture = await world.capture('box');
  await nft(to(`${BOX_GATEWAY.ipv4}:8080`));
  t.equal(await tell(agent, line, IN_VAIN_SECONDS), 'error TimeoutError', 'out of the namespace');
  t.same(await capture.conversations(), []);
  await nft(chain('postrouting priority 100', `tcp dport ${port} snat to 127.0.0.9`));
  const disguised = await tell(agent, line, IN_VAIN_SECONDS);
  t.equal(disguised, 'error TimeoutError', 'under another address, which may be another agent');

  // What the daemon's ends send back is plain text: it stays on loopback, whatever is made of its address.
  await must(box.wrap(['sysctl', '-qw', 'net.ipv4.conf.all.route_localnet=1']));
  await nft(
    chain(
      'output priority -150',
      `tcp sport ${port} ip length > 60 ip daddr set ${BOX_GATEWAY.ipv4}`,
    ).replace('type nat', 'type route'),
  );
  const back = await world.capture('box');
  t.not(await tell(agent, line, IN_VAIN_SECONDS), `answer ${MARKER}`);
  t.same(await back.markersSeen([MARKER]), [], 'the answer to a policy-abiding request');

  // A worker's connection goes where policy allowed it, or nowhere.
  const plain = puppet(AGENTS.legacy, box.wrap([]));
  const exempt = `${FAR.ipv4} ${RAW_PORTS.plain} ${MARKER}`;
  await nft('');
  t.match(await tell(plain, exempt), /only speak plain text/);
  await nft(chain('output priority -100', `tcp dport ${RAW_PORTS.plain} dnat to ${FAR.ipv4}:8080`));
  t.notMatch(await tell(plain, exempt, IN_VAIN_SECONDS), /plain text|HTTP/);
  t.same(await capture.conversations(8080), []);
  await agent.stop('SIGKILL');
  await plain.stop('SIGKILL');
});
