/** What the kernel plane refuses agents: each a way by which bytes could leave past the proxy. */
import { createServer } from 'node:net';
import t from 'tap';
import { addon } from '#src/kernel/addon.ts';
import { run } from '#test/support/command.ts';
import { AGENT_ID, PlaneFixture } from '#test/support/plane.ts';
import { PYTHON } from '#test/support/python.ts';

const fixture = await PlaneFixture.open();
t.teardown(() => fixture.close());
t.beforeEach(() => fixture.reset());

/** Python that runs `body` and prints the errno name of what it raises, or "allowed". */
const attempt = (body: string): string => `
import errno, os, socket, struct
try:
${body
  .trim()
  .split('\n')
  .map((line) => `    ${line}`)
  .join('\n')}
    print("allowed")
except OSError as error:
    print(errno.errorcode.get(error.errno, type(error).__name__))
`;

const refused: readonly (readonly [string, string, string])[] = [
  ['a raw socket', 'socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)', 'socket_denied'],
  ['a raw IPv6 socket', 'socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58)', 'socket_denied'],
  ['UDP-Lite', 'socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136)', 'socket_denied'],
  ['MPTCP', 'socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)', 'socket_denied'],
  [
    'UDP by sendto',
    'socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9))',
    'udp_denied',
  ],
  [
    'UDP over IPv6',
    'socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b"x", ("::1", 9))',
    'udp_denied',
  ],
  [
    'connected UDP',
    's = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.connect(("127.0.0.1", 9))\ns.send(b"x")',
    'udp_denied',
  ],
  ['SO_BINDTODEVICE', 'socket.socket().setsockopt(socket.SOL_SOCKET, 25, b"lo")', 'option_denied'],
  ['SO_BINDTOIFINDEX', 'socket.socket().setsockopt(socket.SOL_SOCKET, 62, 1)', 'option_denied'],
  ['IP_OPTIONS', 'socket.socket().setsockopt(socket.IPPROTO_IP, 4, bytes(4))', 'option_denied'],
  ['IP_TRANSPARENT', 'socket.socket().setsockopt(socket.IPPROTO_IP, 19, 1)', 'option_denied'],
  ['IPV6_RTHDR', 'socket.socket(socket.AF_INET6).setsockopt(41, 57, bytes(24))', 'option_denied'],
  ['IPV6_HOPOPTS', 'socket.socket(socket.AF_INET6).setsockopt(41, 54, bytes(8))', 'option_denied'],
  ['IP_HDRINCL', 'socket.socket().setsockopt(socket.IPPROTO_IP, 3, 1)', 'option_denied'],
  ['IPV6_2292PKTOPTIONS', 'socket.socket(socket.AF_INET6).setsockopt(41, 6, bytes(24))', 'option_denied'],
  ['IPV6_RTHDRDSTOPTS', 'socket.socket(socket.AF_INET6).setsockopt(41, 55, bytes(8))', 'option_denied'],
  ['IPV6_DSTOPTS', 'socket.socket(socket.AF_INET6).setsockopt(41, 59, bytes(8))', 'option_denied'],
  ['IPV6_TRANSPARENT', 'socket.socket(socket.AF_INET6).setsockopt(41, 75, 1)', 'option_denied'],
  ['IP_IPSEC_POLICY', 'socket.socket().setsockopt(socket.IPPROTO_IP, 16, bytes(168))', 'option_denied'],
  ['IP_XFRM_POLICY', 'socket.socket().setsockopt(socket.IPPROTO_IP, 17, bytes(168))', 'option_denied'],
  ['IPV6_IPSEC_POLICY', 'socket.socket(socket.AF_INET6).setsockopt(41, 34, bytes(168))', 'option_denied'],
  ['IPV6_XFRM_POLICY', 'socket.socket(socket.AF_INET6).setsockopt(41, 35, bytes(168))', 'option_denied'],
  ['TCP_REPAIR', 'socket.socket().setsockopt(socket.IPPROTO_TCP, 19, 1)', 'option_denied'],
];

/** Debian's 7.3 has no UDP-Lite any more: nobody gets such a socket there, and the hook is not even asked. */
const bystander = await run([PYTHON, '-c', attempt('socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136)')]);
const hasUdpLite = bystander.stdout === 'allowed\n';

for (const [name, body, reason] of refused.filter(([each]) => hasUdpLite || each !== 'UDP-Lite')) {
  t.test(`${name} is refused with EPERM and told`, async (t) => {
    const result = await fixture.agent(attempt(body));
    t.equal(result.stdout, 'EPERM\n', result.stderr);
    const [event] = await fixture.waitFor('denied');
    t.match(event, { reason, facts: { agentId: AGENT_ID } });
    t.same(fixture.accepted, []);
  });
}

t.test('the proxy cannot be asked for by its own address', async (t) => {
  const result = await fixture.agent(attempt(`socket.create_connection(("127.0.0.1", ${fixture.port}))`));
  t.equal(result.stdout, 'EPERM\n');
  t.match((await fixture.waitFor('denied'))[0], { reason: 'proxy_direct' });
});

for (const [family, address] of [
  ['AF_INET', '127.0.0.1'],
  ['AF_INET', '0.0.0.0'],
  ['AF_INET6', '::1'],
  ['AF_INET6', '::'],
  ['AF_INET6', '::ffff:127.0.0.1'],
] as const)
  t.test(`the proxy's port at ${address} cannot be listened on beside it`, async (t) => {
    const body = `
s = socket.socket(socket.${family})
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
s.bind(("${address}", ${fixture.port}))`;
    t.equal((await fixture.agent(attempt(body))).stdout, 'EPERM\n');
    t.match((await fixture.waitFor('denied'))[0], { reason: 'proxy_direct', facts: { agentId: AGENT_ID } });
    const bystander = await run(['python3', '-c', attempt(body)]);
    t.equal(bystander.stdout, 'allowed\n', 'who is no agent is left alone');
  });

t.test('what an agent serves gets no answer out', async (t) => {
  const server = fixture.agent(`
import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(); s.settimeout(2)
print(s.getsockname()[1], flush=True)
open("/tmp/sluice-test-${process.pid}.port", "w").write(str(s.getsockname()[1]))
try: s.accept(); print("accepted")
except TimeoutError: print("nobody")
`);
  const client = `
import os, socket, time
path = "/tmp/sluice-test-${process.pid}.port"
for n in range(200):
    if os.path.exists(path) and os.path.getsize(path): break
    time.sleep(0.01)
port = int(open(path).read()); os.unlink(path)
s = socket.socket(); s.settimeout(1)
try: s.connect(("127.0.0.1", port)); print("connected")
except TimeoutError: print("no answer")
`;
  t.equal((await run(['python3', '-c', client])).stdout, 'no answer\n');
  t.match((await server).stdout, /nobody/);
  t.match((await fixture.waitFor('denied'))[0], { reason: 'inbound_denied' });
});

t.test('the port of the proxy at another address is no way to serve either', async (t) => {
  const bind = `socket.socket().bind(("127.0.0.2", ${fixture.port}))`;
  t.equal((await fixture.agent(attempt(bind))).stdout, 'EPERM\n');
  t.match((await fixture.waitFor('denied'))[0], { reason: 'inbound_denied', refusal: { technique: 'bind' } });
});

t.test('who comes from the port of the proxy is nobody to serve', async (t) => {
  const serving = fixture.agent(`
import socket
s = socket.socket(); s.bind(("127.0.0.4", 0)); s.listen(); s.settimeout(1.5)
open("/tmp/sluice-test-${process.pid}.port", "w").write("%d\\n" % s.getsockname()[1])
try: s.accept()[0].sendall(b"secret"); print("accepted")
except TimeoutError: print("nobody")
`);
  const visit = `
import os, socket, time
path = "/tmp/sluice-test-${process.pid}.port"
while not os.path.exists(path) or not open(path).read().endswith("\\n"): time.sleep(0.01)
port = int(open(path).read()); os.unlink(path)
s = socket.socket(); s.settimeout(1); s.bind(("127.0.0.3", ${fixture.port}))
try: s.connect(("127.0.0.4", port)); print(s.recv(100).decode())
except TimeoutError: print("nothing")
`;
  t.equal((await run(['python3', '-c', visit])).stdout, 'nothing\n');
  t.equal((await serving).stdout, 'nobody\n');
});

t.test('in a network namespace without a listener there is no connection', async (t) => {
  const result = await run([
    'sh',
    '-c',
    'echo 0 > "$0/cgroup.procs" && exec unshare --net sh -c "ip link set lo up; exec python3 -c \\"\\$0\\"" "$1"',
    fixture.directory,
    attempt('socket.create_connection(("127.0.0.1", 80), 2)'),
  ]);
  t.equal(result.stdout, 'EPERM\n', result.stderr);
  t.match((await fixture.waitFor('denied'))[0], { reason: 'no_listener' });
});

t.test('ping and SCTP sockets, where the kernel would give them', async (t) => {
  const body = `
import errno, socket
open("/proc/sys/net/ipv4/ping_group_range", "w").write("0 2147483647")
for family, kind, protocol in ((2, 2, 1), (10, 2, 58), (2, 1, 132), (2, 5, 132)):
    try: socket.socket(family, kind, protocol); print("allowed")
    except OSError as error: print(errno.errorcode[error.errno])
`;
  const enter = 'echo 0 > "$0/cgroup.procs" && exec unshare --net python3 -c "$1"';
  const result = await run(['sh', '-c', enter, fixture.directory, body]);
  const [ping4, ping6, ...sctp] = result.stdout.trim().split('\n');
  t.same([ping4, ping6], ['EPERM', 'EPERM'], result.stderr);
  t.notOk(sctp.includes('allowed'));
  const techniques = (await fixture.waitFor('denied', 2)).map(({ refusal }) => refusal?.technique);
  t.equal(techniques.filter((technique) => technique === 'socket_ping').length, 2);
  if (sctp.every((errno) => errno === 'EPERM')) t.ok(techniques.includes('socket_sctp'));
  else t.pass('SCTP', { skip: 'needs a kernel with SCTP' });
});

t.test('a connection that never reaches the proxy is told as such', async (t) => {
  // No address to bind to: connect() fails after the redirect, before a SYN.
  const result = await fixture.agent(
    attempt('s = socket.socket()\ns.bind(("127.0.0.1", 0))\ns.listen()\ns.connect(("192.0.2.1", 80))'),
  );
  t.not(result.stdout, 'allowed\n');
});

t.test('a freed port in other hands gets nothing', async (t) => {
  const { port } = fixture;
  fixture.stopListening();
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.equal((await fixture.agent(attempt('socket.create_connection(("192.0.2.1", 80), 2)'))).stdout, 'EPERM\n');
  const stolen: Buffer[] = [];
  const impostor = createServer((socket) => socket.on('data', (chunk) => stolen.push(chunk)));
  await new Promise<void>((resolve) => impostor.listen(port, '127.0.0.1', resolve));
  t.teardown(() => impostor.close());
  const result = await fixture.agent(
    attempt('s = socket.create_connection(("192.0.2.1", 80), 2)\ns.send(b"secret")'),
  );
  t.equal(result.stdout, 'EPERM\n');
  t.same(stolen, []);
  t.match((await fixture.waitFor('denied', 2))[1], { reason: 'no_listener' });
});

t.test('a SYN that is sent again goes to the daemon or nowhere', async (t) => {
  const { fd, port } = fixture.plane.listen('127.0.0.1', 0, 0);
  fixture.plane.setProxyPorts([port]);
  // Nobody accepts: the first connection fills the queue, and the SYN of the second is dropped until it is sent again.
  const agent = fixture.agent(
    attempt(`
held = socket.create_connection(("192.0.2.1", 80), 2)
late = socket.socket(); late.settimeout(5); late.connect(("192.0.2.1", 81))
late.send(b"secret")`),
  );
  await fixture.waitFor('open', 2);
  addon().closeFd(fd);
  const stolen: Buffer[] = [];
  const impostor = createServer((socket) => socket.on('data', (chunk) => stolen.push(chunk)));
  await new Promise<void>((resolve) => impostor.listen(port, '127.0.0.1', resolve));
  t.teardown(() => impostor.close());
  t.match((await agent).stdout, /TIMEDOUT|TimeoutError/);
  t.same(stolen, []);
});
