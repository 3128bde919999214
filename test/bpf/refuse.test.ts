/** What the kernel plane refuses agents: each a way by which bytes could leave past the proxy. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import t, { type Test } from 'tap';
import { addon } from '#src/kernel/addon.ts';
import { Running, run, until } from '#test/support/command.ts';
import { listeningPorts } from '#test/support/listening.ts';
import { AGENT_ID, PlaneFixture, pythonIn } from '#test/support/plane.ts';
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

/** An agent that listens at `address`, and says the port; then whether somebody has come. */
async function serving(
  t: Test,
  address: string,
): Promise<{ readonly server: Running; readonly port: number }> {
  const script = `
import socket
s = socket.socket(); s.bind(("${address}", 0)); s.listen()
print(s.getsockname()[1])
s.accept()[0].sendall(b"secret"); print("accepted")
`;
  const server = new Running(pythonIn(fixture.directory, script));
  t.teardown(() => server.stop('SIGKILL'));
  await server.waitFor(({ stdout }) => stdout.endsWith('\n'));
  return { server, port: Number(server.stdout) };
}

t.test('what an agent serves gets no answer out', async (t) => {
  const { server, port } = await serving(t, '127.0.0.1');
  const client = `
import socket
s = socket.socket(); s.settimeout(1)
try: s.connect(("127.0.0.1", ${port})); print("connected")
except TimeoutError: print("no answer")
`;
  t.equal((await run(['python3', '-c', client])).stdout, 'no answer\n');
  t.match((await fixture.waitFor('denied'))[0], { reason: 'inbound_denied' });
  t.equal((await server.stop('SIGKILL')).stdout, `${port}\n`, 'nobody came');
});

t.test('the port of the proxy at another address is no way to serve either', async (t) => {
  const bind = `socket.socket().bind(("127.0.0.2", ${fixture.port}))`;
  t.equal((await fixture.agent(attempt(bind))).stdout, 'EPERM\n');
  t.match((await fixture.waitFor('denied'))[0], { reason: 'inbound_denied', refusal: { technique: 'bind' } });
});

t.test('who comes from the port of the proxy is nobody to serve', async (t) => {
  const { server, port } = await serving(t, '127.0.0.4');
  const visit = `
import socket
s = socket.socket(); s.settimeout(1); s.bind(("127.0.0.3", ${fixture.port}))
try: s.connect(("127.0.0.4", ${port})); print(s.recv(100).decode())
except TimeoutError: print("nothing")
`;
  t.equal((await run(['python3', '-c', visit])).stdout, 'nothing\n');
  t.equal((await server.stop('SIGKILL')).stdout, `${port}\n`, 'nobody came');
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
  await until('the port to be free', () => !listeningPorts(process.pid).has(port));
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

/** Whether somebody has sent a SYN there that is not answered, and will send it again (proc_net_tcp.txt). */
function waitsForAnswer(port: number): boolean {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return new RegExp(`^ *\\d+: \\S+ [0-9A-F]+:${hex} 02 \\S+ 01:`, 'm').test(
    readFileSync('/proc/net/tcp', 'latin1'),
  );
}

t.test('a SYN that is sent again goes to the daemon or nowhere', async (t) => {
  const { fd, port } = fixture.plane.listen('127.0.0.1', 0, 0);
  fixture.plane.setProxyPorts([port]);
  // Nobody accepts: the first connection fills the queue, and the SYN of the second is dropped until it is sent again.
  const agent = fixture.agent(
    attempt(`
held = socket.create_connection(("192.0.2.1", 80), 60)
late = socket.socket(); late.settimeout(5); late.connect(("192.0.2.1", 81))
late.send(b"secret")`),
  );
  await until('its first SYN to be sent', () => waitsForAnswer(port));
  addon().closeFd(fd);
  const stolen: Buffer[] = [];
  const impostor = createServer((socket) => socket.on('data', (chunk) => stolen.push(chunk)));
  await new Promise<void>((resolve) => impostor.listen(port, '127.0.0.1', resolve));
  t.teardown(() => impostor.close());
  t.match((await agent).stdout, /TIMEDOUT|TimeoutError/);
  t.same(stolen, []);
});
