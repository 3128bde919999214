/**
 * Whom an agent serves: nobody, but for the inbound rules. The agent runs in the near namespace; the capture on the
 * far side is the judge of whether anything was answered.
 */
import t from 'tap';
import type { InboundRange } from '#src/kernel/inbound.ts';
import { compileInbound } from '#src/policy/compile.ts';
import type { InboundEntry } from '#src/policy/document.ts';
import { decideInbound, inboundRanges } from '#src/policy/inbound.ts';
import type { CompiledInbound } from '#src/policy/types.ts';
import { Capture } from '#test/support/capture.ts';
import { must, Running, until } from '#test/support/command.ts';
import { claimWorld, dismantle, worldDir } from '#test/support/leftovers.ts';
import { FAR, makeNetwork, NEAR } from '#test/support/network.ts';
import { AGENT_ID, NO_TABLES, PlaneFixture, pythonIn } from '#test/support/plane.ts';

const fixture = await PlaneFixture.open();
const world = claimWorld();
const network = await makeNetwork(world);
const capture = await Capture.start(network, 'wire', `${worldDir(world)}/inbound.pcap`);
t.teardown(async () => {
  await capture.stop();
  dismantle(world);
  await fixture.close();
});
t.beforeEach(() => {
  fixture.reset();
  allow();
});

const PORT = 8080;
const RULE = { name: 'far', agents: ['a'], action: 'exempt', reason: 'a test' } as const;

function rules(...entries: readonly Partial<InboundEntry>[]): CompiledInbound[] {
  return entries.map((entry, index) =>
    compileInbound({ ...RULE, name: `rule-${index}`, ports: [PORT], from: [], ...entry }),
  );
}

/** Puts inbound rules of the agent in force in place of the former. */
function allow(...entries: readonly Partial<InboundEntry>[]): readonly InboundRange[] {
  const ranges = inboundRanges({ inbound: rules(...entries) }, 'a');
  fixture.enrol({
    ...NO_TABLES,
    cgroups: [{ path: fixture.agentCgroup, agentId: AGENT_ID }],
    inbound: ranges.length === 0 ? [] : [{ agentId: AGENT_ID, ranges }],
  });
  return ranges;
}

/** A Python program of the agent's, in the near namespace. Ready when it has printed `ready`. */
async function serve(script: string, ...args: string[]): Promise<Running> {
  const server = new Running(network.near.wrap(pythonIn(fixture.directory, script, ...args)), {
    timeoutMs: 120_000,
  });
  await server.waitFor((r) => /ready.*\n/.test(r.stdout));
  return server;
}

async function stop(server: Running): Promise<string> {
  await server.stop('SIGKILL');
  return server.stdout + server.stderr;
}

/** Listens on a port the kernel draws, so that bind() has nothing to refuse, and prints it; then tells who asked. */
const TCP_SERVER = `
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
s = socket.socket(family)
if ":" in sys.argv[1]: s.setsockopt(41, 26, 0)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind((sys.argv[1], int(sys.argv[2]))); s.listen(int(sys.argv[3]))
print("ready", s.getsockname()[1])
while True:
    c, peer = s.accept(); c.settimeout(60)
    try: print("asked", c.recv(100).decode()); c.sendall(b"PLAIN-ANSWER"); c.close()
    except OSError as error: print(error)
`;

const UDP_SERVER = `
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
if ":" in sys.argv[1]: s.setsockopt(41, 26, 0)
s.bind((sys.argv[1], int(sys.argv[2])))
print("ready", s.getsockname()[1])
while True:
    data, peer = s.recvfrom(100); print("asked", data.decode())
    try: s.sendto(b"PLAIN-ANSWER", peer)
    except OSError as error: print(type(error).__name__)
`;

const CLIENT = `
import socket, sys
kind = socket.SOCK_DGRAM if sys.argv[3] == "udp" else socket.SOCK_STREAM
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, kind); s.settimeout(float(sys.argv[4]))
try:
    s.connect((sys.argv[1], int(sys.argv[2]))); s.send(b"hello"); print(s.recv(100).decode())
except OSError as error: print(type(error).__name__)
`;

const client = (address: string, port: number, kind: 'tcp' | 'udp', seconds: number): string[] => [
  ...['python3', '-c', CLIENT, address],
  ...[String(port), kind, String(seconds)],
];

/** By default as long as an answer may take; less where there is to be none. */
async function ask(address: string, port: number, kind: 'tcp' | 'udp', seconds = 60): Promise<string> {
  return (await network.far.run(client(address, port, kind, seconds))).stdout.trim();
}

function portOf(server: Running): number {
  return Number(/ready (\d+)/.exec(server.stdout)?.[1]);
}

/** Packets that left the agent's port; what an agent answered on the wire. */
async function answers(port: number): Promise<number> {
  return (await capture.packets()).filter(
    (packet) => packet.srcPort === port && (packet.src === NEAR.ipv4 || packet.src === NEAR.ipv6),
  ).length;
}

const ways = [
  { name: 'IPv4', listen: '0.0.0.0', ask: NEAR.ipv4, from: FAR.ipv4, other: '10.198.1.3' },
  { name: 'IPv6', listen: '::', ask: NEAR.ipv6, from: FAR.ipv6, other: 'fd00:198::3' },
  { name: 'v4-mapped', listen: '::', ask: NEAR.ipv4, from: FAR.ipv4, other: '10.198.1.3' },
] as const;

for (const way of ways)
  for (const kind of ['tcp', 'udp'] as const) {
    const SERVER = kind === 'tcp' ? TCP_SERVER : UDP_SERVER;

    t.test(`${kind} over ${way.name}: nothing is answered without a rule`, async (t) => {
      const server = await serve(SERVER, way.listen, '0', '16');
      const port = portOf(server);
      allow({ ports: [port], from: [way.other], protocol: kind }, { ports: [port + 1], from: [way.from] });
      t.match(await ask(way.ask, port, kind, 0.5), /TimeoutError|timeout/);
      const [denied] = await fixture.waitFor('denied');
      t.match(denied, {
        reason: 'inbound_denied',
        refusal: { technique: `inbound_${kind}`, suppressed: 0, protocol: kind === 'tcp' ? 6 : 17 },
        inbound: { localPort: port, rule: 0 },
        facts: { agentId: AGENT_ID, pid: server.pid, dstIp: way.from },
      });
      t.equal(await answers(port), 0, 'no packet of the agent on the wire');
      t.notMatch(await stop(server), /asked/);
    });

    t.test(`${kind} over ${way.name}: a rule lets in whom it names`, async (t) => {
      const [range] = allow({ from: [way.from], protocol: kind });
      const server = await serve(SERVER, way.listen, String(PORT), '16');
      t.equal(await ask(way.ask, PORT, kind), 'PLAIN-ANSWER');
      t.ok((await answers(PORT)) > 0);
      t.match(await stop(server), /asked hello/);
      if (kind === 'tcp')
        t.match((await fixture.waitFor('served'))[0], {
          // One more than was said, each way: TCP counts the FIN.
          inbound: { localPort: PORT, rule: range?.rule, received: 6, sent: 13 },
          facts: { agentId: AGENT_ID, pid: server.pid, dstIp: way.from },
        });
      t.same(fixture.seen('denied'), []);
    });
  }

t.test('an overrun queue answers no SYN by cookie either, and no request gets through', async (t) => {
  const server = await serve(TCP_SERVER, '0.0.0.0', '0', '0');
  const flood = `
import socket, time
sockets = [socket.socket() for n in range(6)]
for s in sockets: s.setblocking(False); s.connect_ex(("${NEAR.ipv4}", ${portOf(server)}))
time.sleep(0.7)
for s in sockets:
    try: s.send(b"hello")
    except OSError: pass
time.sleep(0.3)
`;
  await network.far.run(['python3', '-c', flood]);
  t.equal(await answers(portOf(server)), 0);
  t.notMatch(await stop(server), /asked/);
  const told = (await fixture.waitFor('denied', 6)).map(({ facts }) => facts.dstPort);
  t.equal(new Set(told).size, 6, 'each attempt is told');
});

t.test('a SYN that is sent again is counted, and not told again', async (t) => {
  const counted = (): bigint =>
    fixture.plane.denials().find(({ technique }) => technique === 'inbound_tcp')?.count ?? 0n;
  const before = counted();
  const server = await serve(TCP_SERVER, '0.0.0.0', '0', '0');
  const sent = async (): Promise<number> =>
    (await capture.packets()).filter((packet) => packet.dstPort === portOf(server)).length;
  const asking = network.far.start(client(NEAR.ipv4, portOf(server), 'tcp', 60));
  await until('the second', async () => (await sent()) >= 2);
  await asking.stop('SIGKILL');
  t.equal(fixture.seen('denied').length, 1);
  t.equal(counted() - before, BigInt(await sent()), 'each of them');
  await stop(server);
});

const attempt = (body: string): string => `
import errno, socket
try:
    ${body}
    print("ready allowed")
except OSError as error:
    print("ready", errno.errorcode[error.errno])
`;

t.test('bind() to a port nobody may be served at fails at once', async (t) => {
  allow({ from: ['127.0.0.0/8'] }, { from: ['127.0.0.1'], ports: ['9000-9002'], protocol: 'udp' });
  const bind = (port: number, type = 'STREAM', address = '0.0.0.0', family = 'INET'): string =>
    attempt(
      `s = socket.socket(socket.AF_${family}, socket.SOCK_${type}); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("${address}", ${port}))`,
    );
  for (const [script, expected] of [
    [bind(PORT), /allowed/],
    [bind(PORT, 'STREAM', '::', 'INET6'), /allowed/],
    [bind(8081), /EPERM/],
    [bind(8081, 'STREAM', '::', 'INET6'), /EPERM/],
    [bind(8081, 'STREAM', '::ffff:127.0.0.1', 'INET6'), /EPERM/],
    [bind(9001), /EPERM/],
    [bind(0), /allowed/],
    // Resolver libraries draw their own ports; what comes to them is met on ingress.
    [bind(9999, 'DGRAM'), /allowed/],
  ] as const) {
    fixture.reset();
    const server = await serve(script);
    t.match(await stop(server), expected, script);
    const [denied] = fixture.seen('denied');
    t.equal(denied !== undefined, String(expected).includes('EPERM'), 'what is refused is told');
    if (denied !== undefined)
      t.match(denied, {
        reason: 'inbound_denied',
        refusal: { technique: 'bind' },
        facts: { pid: server.pid },
      });
  }
});

t.test('listen() without bind() is met by the same', async (t) => {
  const server = await serve(`
import socket
s = socket.socket(); s.listen(); print("ready", s.getsockname()[1]); s.accept(); print("accepted")
`);
  t.match(await ask(NEAR.ipv4, portOf(server), 'tcp', 0.5), /TimeoutError|timeout/);
  t.equal(await answers(portOf(server)), 0);
  t.notMatch(await stop(server), /accepted/);
});

t.test(
  'a service behind a proxy on the same host: loopback may be named, and is then all there is',
  async (t) => {
    const server = async (): Promise<Running> => serve(TCP_SERVER, '::', String(PORT), '16');
    const local = async (address: string, seconds = 60): Promise<string> =>
      (await network.near.run(client(address, PORT, 'tcp', seconds))).stdout.trim();
    allow({ from: ['127.0.0.0/8', '::1'] });
    const open = await server();
    t.equal(await local('127.0.0.1'), 'PLAIN-ANSWER');
    t.equal(await local('::1'), 'PLAIN-ANSWER');
    t.match(
      await local(NEAR.ipv4, 0.5),
      /TimeoutError|timeout/,
      'by the address of the host it is another client',
    );
    t.match(await ask(NEAR.ipv4, PORT, 'tcp', 0.5), /TimeoutError|timeout/);
    allow();
    t.match(await local('127.0.0.1', 0.5), /TimeoutError|timeout/, 'without a rule loopback is no exception');
    await stop(open);
  },
);

t.test('a loopback address that comes from the network is not believed', async (t) => {
  allow({ from: ['127.0.0.0/8'] });
  for (const setting of [
    'all/route_localnet=1',
    'all/rp_filter=0',
    `${NEAR.device}/rp_filter=0`,
    'all/accept_local=1',
  ]) {
    const [key = '', value = ''] = setting.split('=');
    await must(network.near.wrap(['sh', '-c', `echo ${value} > /proc/sys/net/ipv4/conf/${key}`]));
  }
  const server = await serve(UDP_SERVER, '0.0.0.0', String(PORT), '0');
  // An IPv4 and UDP header by hand: no kernel would send this by itself.
  const lie = `
import socket, struct
payload = struct.pack("!HHHH", 5000, ${PORT}, 8 + 5, 0) + b"hello"
packet = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, 17, 0, socket.inet_aton("127.0.0.1"), socket.inet_aton("${NEAR.ipv4}"))
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
s.sendto(packet + payload, ("${NEAR.ipv4}", 0))
`;
  await network.far.run(['python3', '-c', lie]);
  t.match((await fixture.waitFor('denied'))[0], {
    reason: 'inbound_denied',
    facts: { dstIp: '127.0.0.1', dstPort: 5000 },
  });
  t.notMatch(await stop(server), /asked/);
});

t.test('an inbound rule for datagrams is to answer by, not to begin with', async (t) => {
  allow({ from: [FAR.ipv4], protocol: 'udp' });
  const send = (target: string): string => `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", ${PORT}))
for way in (lambda: s.sendto(b"unasked", ("${FAR.ipv4}", 7000)), lambda: (s.connect(("${FAR.ipv4}", 7000)), s.send(b"unasked"))):
    try: way(); print("sent")
    except OSError as error: print(type(error).__name__)
print("ready ${target}")
`;
  const server = await serve(send('done'));
  t.equal((await stop(server)).match(/PermissionError/g)?.length, 2);
  t.same(
    (await capture.packets()).filter((packet) => packet.payload.includes('unasked')),
    [],
  );
});

t.test('a rule that is taken away ends what is new, not what is open', async (t) => {
  allow({ from: [FAR.ipv4] });
  const server = await serve(`
import socket
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", ${PORT})); s.listen(); print("ready")
c, peer = s.accept()
while True:
    data = c.recv(100)
    if not data: break
    c.sendall(data)
`);
  const talk = `
import socket, sys
s = socket.socket(); s.settimeout(60); s.connect(("${NEAR.ipv4}", ${PORT}))
for n in range(2):
    s.send(b"echo"); print("got", s.recv(100).decode(), flush=True); sys.stdin.readline()
`;
  const talking = network.far.start(['python3', '-u', '-c', talk], { keepStdin: true });
  await talking.waitFor((r) => r.stdout.includes('got echo'));
  allow();
  talking.write('\n');
  await talking.waitFor((r) => r.stdout.match(/got echo/g)?.length === 2);
  t.match(await ask(NEAR.ipv4, PORT, 'tcp', 0.5), /TimeoutError|timeout/);
  await talking.stop('SIGKILL');
  await stop(server);
});

t.test('the kernel decides as decideInbound() says', async (t) => {
  const entries: readonly Partial<InboundEntry>[] = [
    { from: ['127.0.1.0/24', '127.0.2.7'], ports: [7001, '7003-7004'], protocol: 'udp' },
    { from: ['127.0.0.0/16'], ports: ['7004-7005'], protocol: 'udp' },
    { from: ['127.3.0.0/16'], ports: [7002], protocol: 'tcp' },
    { from: ['0.0.0.0/0'], ports: [7006], protocol: 'udp' },
    { from: ['::/0'], ports: [7001], protocol: 'udp' },
  ];
  const ports = [7000, 7001, 7002, 7003, 7004, 7005, 7006];
  const sources = [
    '127.0.0.255',
    '127.0.1.0',
    '127.0.1.255',
    '127.0.2.6',
    '127.0.2.7',
    '127.1.0.0',
    '127.3.9.9',
  ];
  allow(...entries);
  // It ends when it has been told so, and has read all that is there by then.
  const server = await serve(`
import select, socket
sockets = []
for port in ${JSON.stringify(ports)}:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", port)); sockets.append(s)
print("ready")
over = False
while ready := select.select(sockets, [], [], 0 if over else None)[0]:
    for s in ready:
        data, peer = s.recvfrom(100); print("from", peer[0], s.getsockname()[1])
        over = over or data == b"over"
`);
  await network.near.run([
    'python3',
    '-c',
    `
import socket
for source in ${JSON.stringify(sources)}:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((source, 0))
    for port in ${JSON.stringify(ports)}: s.sendto(b"x", ("127.0.0.1", port))
s.sendto(b"over", ("127.0.0.1", ${ports.at(-1)}))
`,
  ]);
  const heard = new Set((await server.finished).stdout.match(/from \S+ \d+/g));
  const inbound = rules(...entries);
  let allowed = 0;
  for (const from of sources)
    for (const port of ports) {
      const answer = decideInbound({ inbound }, { agent: 'a', protocol: 'udp', port, from });
      if (answer.kind === 'allow') allowed++;
      t.equal(
        heard.has(`from ${from} ${port}`),
        answer.kind === 'allow',
        `${from} to ${port}: ${answer.kind}`,
      );
    }
  t.ok(allowed > 10 && allowed < sources.length * ports.length);
});
