/** DNS of agents: every datagram to port 53 goes to the forwarder, which knows whose it is, and to nobody else. */
import { createSocket } from 'node:dgram';
import { mkdirSync } from 'node:fs';
import t from 'tap';
import { Running, run, until } from '#test/support/command.ts';
import { AGENT_ID, NO_TABLES, PlaneFixture, pythonIn } from '#test/support/plane.ts';

const OTHER_ID = 79;

const fixture = await PlaneFixture.open();
t.teardown(() => fixture.close());
t.beforeEach(() => fixture.reset());

const cgroups = [
  { path: fixture.agentCgroup, agentId: AGENT_ID },
  { path: `${fixture.agentCgroup}/other`, agentId: OTHER_ID },
];
const dns = (on: boolean): void => fixture.enrol({ ...NO_TABLES, cgroups, dns: on });
dns(true);

const ASK = `
import socket, sys
ip, how = sys.argv[1:]
s = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
try:
    if how == "connected":
        s.connect((ip, 53)); s.send(b"question")
        print(s.getpeername()[:2], *s.recvfrom(100))
    else:
        s.sendto(b"question", (ip, 53))
        print("-", *s.recvfrom(100))
except OSError as error: print(type(error).__name__)
`;

for (const ip of ['192.0.2.53', '127.0.0.53', '127.0.0.1', '2001:db8::53', '::1', '::ffff:192.0.2.53'])
  for (const how of ['connected', 'unconnected'])
    t.test(`${how} DNS to ${ip} goes to the forwarder, and looks as if it had not`, async (t) => {
      const { stdout, stderr } = await fixture.agent(ASK, ip, how);
      const peer = how === 'connected' ? `('${ip}', 53)` : '-';
      t.equal(stdout.startsWith(`${peer} b'answer to question' ('${ip}', 53`), true, stdout + stderr);
      t.match(fixture.asked, [
        {
          bytes: Buffer.from('question'),
          kernel: {
            facts: {
              agentId: AGENT_ID,
              dstIp: ip.replace('::ffff:', ''),
              dstPort: 53,
              family: ip.includes(':') ? 6 : 4,
              uid: 0,
            },
          },
        },
      ]);
    });

t.test('each datagram is its sender’s, also where two agents share one port', async (t) => {
  // SO_REUSEADDR lets anybody bind a datagram port beside another; a table by source address would mix them up.
  const script = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", 5335))
for n in range(100): s.sendto(sys.argv[1].encode(), ("192.0.2.53", 53))
`;
  const other = `${fixture.directory}/other`;
  mkdirSync(other, { recursive: true });
  await Promise.all([fixture.agent(script, 'agent'), fixture.agentIn(other, script, 'other')]);
  await until('all to be read', () => fixture.asked.length === 200);
  const seen = new Set(fixture.asked.map(({ bytes, kernel }) => `${bytes} ${kernel.facts.agentId}`));
  t.same([...seen].sort(), [`agent ${AGENT_ID}`, `other ${OTHER_ID}`]);
  t.equal(
    new Set(fixture.asked.map(({ kernel }) => kernel.facts.id)).size,
    fixture.asked.length,
    'an id for each',
  );
});

t.test('nobody but an agent reaches the forwarder', async (t) => {
  const script = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.5)
s.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 6)
s.sendto(b"forged", ("127.0.0.1", int(sys.argv[1])))
try: print(s.recv(100))
except TimeoutError: print("silence")
`;
  t.equal((await run(['python3', '-c', script, String(fixture.dnsPort)])).stdout, 'silence\n');
  // Who asks after it is read after it.
  await fixture.agent(ASK, '192.0.2.53', 'connected');
  t.same(
    fixture.asked.map(({ bytes }) => String(bytes)),
    ['question'],
  );
});

t.test('a ticket that is forged, with every privilege, is nobody’s', async (t) => {
  const script = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, -5)
s.sendto(b"forged", ("127.0.0.1", int(sys.argv[1])))
print("sent")
`;
  t.equal((await run(['python3', '-c', script, String(fixture.dnsPort)])).stdout, 'sent\n');
  await fixture.agent(ASK, '192.0.2.53', 'connected');
  t.same(
    fixture.asked.map(({ bytes }) => String(bytes)),
    ['question'],
  );
});

t.test('an agent cannot ask the forwarder by its own address', async (t) => {
  const script = `
import errno, socket, sys
port = int(sys.argv[1])
def attempt(work):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try: work(s); print("allowed")
    except OSError as error: print(errno.errorcode[error.errno])
attempt(lambda s: s.sendto(b"x", ("127.0.0.1", port)))
attempt(lambda s: (s.connect(("127.0.0.1", port)), s.send(b"x")))
attempt(lambda s: (s.sendto(b"x", ("192.0.2.53", 53)), s.connect(("127.0.0.1", port)), s.send(b"x")))
t = socket.socket()
try: t.connect(("127.0.0.1", port)); print("allowed")
except OSError as error: print(errno.errorcode[error.errno])
`;
  const { stdout, stderr } = await fixture.agent(script, String(fixture.dnsPort));
  t.equal(stdout, 'EPERM\n'.repeat(4), stderr);
  await fixture.agent(ASK, '192.0.2.53', 'connected');
  t.same(
    fixture.asked.map(({ bytes }) => String(bytes)),
    ['x', 'question'],
    'the one that asked port 53, and who asks after it',
  );
});

for (const type of ['SOCK_STREAM', 'SOCK_DGRAM'])
  t.test(`nor serve at it, ${type}`, async (t) => {
    const script = `
import errno, socket, sys
for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::1"), (socket.AF_INET6, "::")):
    s = socket.socket(family, socket.${type})
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try: s.bind((address, int(sys.argv[1]))); print("allowed")
    except OSError as error: print(errno.errorcode[error.errno])
`;
    const { stdout, stderr } = await fixture.agent(script, String(fixture.dnsPort));
    t.equal(stdout, 'EPERM\n'.repeat(4), stderr);
    t.match((await fixture.waitFor('denied'))[0], { reason: 'proxy_direct' });
  });

t.test('other datagrams are refused, on a socket that asks DNS too', async (t) => {
  const script = `
import errno, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
s.sendto(b"question", ("192.0.2.53", 53)); print(s.recvfrom(100)[1])
for port in (443, 5353, 52, 54):
    try: s.sendto(b"x", ("192.0.2.53", port)); print("allowed")
    except OSError as error: print(errno.errorcode[error.errno])
`;
  const { stdout } = await fixture.agent(script);
  t.equal(stdout, `('192.0.2.53', 53)\n${'EPERM\n'.repeat(4)}`);
  t.match((await fixture.waitFor('denied'))[0], { reason: 'udp_denied' });
});

t.test('DNS over TCP goes to the forwarder’s listener, with its flow', async (t) => {
  const script = `
import socket, sys
s = socket.create_connection((sys.argv[1], 53), 60)
print(s.getpeername()[:2], s.recv(100).decode())
`;
  for (const ip of ['192.0.2.53', '2001:db8::53', '127.0.0.53']) {
    fixture.reset();
    t.equal((await fixture.agent(script, ip)).stdout, `('${ip}', 53) hello from the proxy\n`);
    t.match(fixture.accepted, [{ facts: { dstIp: ip, dstPort: 53, agentId: AGENT_ID } }]);
    t.equal(fixture.accepted[0]?.port, fixture.dnsPort);
  }
});

t.test('where policy has no resolvers, DNS is refused like any other datagram', async (t) => {
  dns(false);
  t.teardown(() => dns(true));
  const { stdout } = await fixture.agent(ASK, '192.0.2.53', 'unconnected');
  t.equal(stdout, 'PermissionError\n');
  t.match((await fixture.waitFor('denied'))[0], { reason: 'udp_denied', facts: { dstPort: 53 } });
});

t.test('without a forwarder that is the daemon’s there is no DNS, whoever has its port', async (t) => {
  const script = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
s.connect(("192.0.2.53", 53)); s.send(b"first"); print(s.recv(100), flush=True)
sys.stdin.readline()
try: s.send(b"secret"); print(s.recv(100))
except OSError as error: print(type(error).__name__)
`;
  const waiting = new Running(pythonIn(fixture.directory, script), { keepStdin: true });
  t.teardown(() => waiting.stop('SIGKILL'));
  await waiting.waitFor(({ stdout }) => stdout.includes('\n'));
  fixture.stopForwarding();
  const stolen: string[] = [];
  const impostor = createSocket('udp4', (bytes) => stolen.push(String(bytes)));
  await new Promise<void>((resolve) => impostor.bind(fixture.dnsPort, '127.0.0.1', resolve));
  t.teardown(() => impostor.close());
  for (const how of ['connected', 'unconnected']) {
    t.equal((await fixture.agent(ASK, '192.0.2.53', how)).stdout, 'PermissionError\n', how);
    t.match((await fixture.waitFor('denied')).at(-1), { reason: 'no_listener' });
  }
  waiting.endInput();
  t.equal(
    (await waiting.finished).stdout,
    "b'answer to first'\nPermissionError\n",
    'nor on a socket that asked before',
  );
  t.same(stolen, []);
});
