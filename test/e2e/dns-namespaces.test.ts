/**
 * DNS of agents in network namespaces of their own: asked of the forwarder's sockets there, and of the policy's
 * resolvers by the daemon's own network. The captures on both pairs say who asked, dnsmasq's log what.
 */
import t from 'tap';
import { addon } from '#src/kernel/addon.ts';
import { must, until } from '#test/support/command.ts';
import { Dnsmasq } from '#test/support/dnsmasq.ts';
import { BOX, FAR, type Namespace, NEAR } from '#test/support/network.ts';
import { PYTHON } from '#test/support/python.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(390_000);
const world = await World.open([]);
t.teardown(() => world.close());
const box = await world.addBox();
const LONG = Array.from({ length: 12 }, (_, n) => `--txt-record=long.test,${String(n).repeat(200)}`);
const dnsmasq = await Dnsmasq.start(world.far, FAR.ipv4, [
  `--host-record=a.test,${FAR.ipv4},${FAR.ipv6}`,
  `--host-record=b.test,${FAR.ipv4},${FAR.ipv6}`,
  ...LONG,
]);
world.beforeClose(() => dnsmasq.stop());

const TLS_PORT = 9443;
const { cert, key } = await world.pki.issue('a.test');
const tls = world.far.start([
  process.execPath,
  '-e',
  `const tls = require('node:tls'), fs = require('node:fs');
const options = { cert: fs.readFileSync(process.argv[1]), key: fs.readFileSync(process.argv[2]) };
tls.createServer(options, (socket) => {
  socket.on('error', () => {});
  socket.on('data', () => socket.end('HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n\\r\\nasked for ' + socket.servername + '\\n'));
}).listen(${TLS_PORT}, '::', () => console.log('ready'));
`,
  cert,
  key,
]);
await tls.waitFor((r) => r.stdout.includes('ready'));
world.beforeClose(() => tls.stop('SIGKILL'));

const sluice = await TestSluice.start(world, {
  policy: `version: 1
dns: { resolvers: [${FAR.ipv4}] }
limits: { detect_timeout_ms: 2000 }
agents:
  - { name: shop, match: [{ run: shop }] }
  - { name: stock, match: [{ run: stock }] }
destinations:
  - name: named
    hosts: [a.test, b.test]
    ports: [${TLS_PORT}]
    protocol: tls
    tls: { ca: ${world.pki.ca} }
rules:
  - { name: named, agents: [shop, stock], destinations: [named], action: allow }
`,
});

/** Runs a command as an agent, with a resolv.conf of a resolver nobody has. */
function ask(agent: string, argv: readonly string[], where: Namespace = box) {
  return sluice.run(agent, where.wrap([...argv]), { names: 'dns', timeoutMs: 120_000 });
}
const dig = (agent: string, ...argv: string[]) => ask(agent, ['dig', '+time=30', '+tries=1', ...argv]);
const curl = (agent: string, host: string, where: Namespace, family: string) =>
  ask(agent, ['curl', '-sSf', family, '--max-time', '60', `http://${host}:${TLS_PORT}/`], where);

/** The forwarder's sockets in the box. */
async function sockets(): Promise<string[]> {
  const all = await must(box.wrap(['ss', '-Hlnut']));
  return all
    .split('\n')
    .filter(Boolean)
    .map((line) => line.trim().split(/\s+/))
    .map(([proto, , , , address]) => `${proto} ${address?.replace(/:\d+$/, '')}`);
}

t.test('resolvers of every kind are answered there, in both families and by TCP', async (t) => {
  const [near, boxWire] = [await world.capture('wire'), await world.capture('box')];
  t.match((await ask('shop', ['getent', 'ahostsv4', 'a.test'])).stdout, new RegExp(`^${FAR.ipv4} `));
  t.match((await ask('shop', ['getent', 'ahostsv6', 'a.test'])).stdout, new RegExp(`^${FAR.ipv6} `));
  for (const server of ['192.0.2.99', '2001:db8::99', '127.0.0.53', '::1', BOX.ipv4])
    for (const how of ['+notcp', '+tcp']) {
      const { stdout } = await dig('shop', how, `@${server}`, 'b.test', 'AAAA');
      t.match(stdout, FAR.ipv6, `${server} ${how}`);
      t.match(stdout, `SERVER: ${server}#53`, 'the agent hears the one it asked');
    }
  t.match((await dig('shop', 'long.test', 'TXT')).stdout, /ANSWER: 12,/, 'what is too large comes by TCP');
  const node = `require('node:dns').promises.resolve4('a.test').then((r) => console.log(r.join()))`;
  t.equal((await ask('shop', [process.execPath, '-e', node])).stdout, `${FAR.ipv4}\n`);
  t.match(await sluice.waitForFlow((f) => f.protocol === 'dns' && f.dst.ip === '2001:db8::99'), {
    agent: 'shop',
    disposition: 'resolved',
    verdict: 'allow',
    dst: { host: 'b.test', port: 53 },
  });
  t.same(await boxWire.packets(), [], 'nothing leaves by the namespace’s own pair');
  const asked = (await near.packets()).filter((p) => p.dstPort === 53).map((p) => `${p.src} ${p.dst}`);
  t.same([...new Set(asked)], [`${NEAR.ipv4} ${FAR.ipv4}`]);
});

t.test('a name that was resolved there is the server’s name, for this agent, wherever it is', async (t) => {
  const boxWire = await world.capture('box');
  for (const family of ['-4', '-6']) {
    const done = await curl('shop', 'a.test', box, family);
    t.equal(done.stdout, 'asked for a.test\n', done.stderr);
  }
  t.equal(await boxWire.assertAllTls(), 2);
  t.match(await sluice.waitForFlow((f) => f.dst.port === TLS_PORT && f.dst.ip === FAR.ipv6), {
    dst: { host: 'a.test', host_source: 'dns' },
    tls: { server_name: 'a.test' },
  });
  const direct = ['curl', '-sSf', '--max-time', '60', `http://${FAR.ipv4}:${TLS_PORT}/`];
  t.equal(
    (await ask('shop', direct, world.near)).stdout,
    'asked for a.test\n',
    'in the daemon’s own as well',
  );
  t.not((await ask('stock', direct)).code, 0, 'another agent beside it has resolved nothing');
});

t.test('how one enters makes no difference', async (t) => {
  const { name } = box;
  const netns = `/run/netns/${name}`;
  for (const [how, argv] of [
    ['ip netns exec', ['ip', 'netns', 'exec', name ?? '', 'getent', 'ahostsv4', 'b.test']],
    ['unshare', ['unshare', '--net', 'sh', '-c', 'ip link set lo up; exec dig +short @192.0.2.99 b.test']],
    [
      'a container',
      [
        ...['systemd-nspawn', '--quiet', '--directory=/', '--volatile=yes', '--private-network'],
        ...['--register=no', '--keep-unit', `--machine=${world.name}`, '--console=pipe'],
        ...['dig', '+short', '@192.0.2.99', 'b.test'],
      ],
    ],
    [
      'setns() of its own',
      [
        PYTHON,
        '-c',
        `
import ctypes, os, socket
assert ctypes.CDLL(None, use_errno=True).setns(os.open("${netns}", os.O_RDONLY), 0x40000000) == 0
print(socket.getaddrinfo("b.test", 80, socket.AF_INET)[0][4][0])
`,
      ],
    ],
  ] as const) {
    const done = await sluice.run('shop', [...argv], { names: 'dns', timeoutMs: 120_000 });
    t.match(done.stdout, new RegExp(`^${FAR.ipv4}\\b`), `${how} ${done.stderr}`);
  }
});

t.test('a question that is the first thing in a new namespace', async (t) => {
  const script = `
import ctypes, fcntl, socket, struct, time
libc = ctypes.CDLL(None, use_errno=True)
for attempt in range(20):
    assert libc.unshare(0x40000000) == 0
    lo = socket.socket()
    fcntl.ioctl(lo, 0x8914, struct.pack("16sh", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
    begun = time.monotonic()
    try:
        socket.getaddrinfo("a.test", 80, socket.AF_INET)
        print("resolved", round((time.monotonic() - begun) * 1000))
    except OSError as error:
        print(type(error).__name__, error)
`;
  const done = await sluice.run('shop', [PYTHON, '-c', script], { names: 'dns', timeoutMs: 120_000 });
  const lines = done.stdout.trim().split('\n');
  t.equal(lines.length, 20, done.stderr);
  t.same(
    lines.filter((line) => !line.startsWith('resolved')),
    [],
  );
  t.comment(`milliseconds: ${lines.map((line) => line.split(' ')[1]).join(' ')}`);
});

t.test('whose a question is cannot be borrowed from another namespace', async (t) => {
  const agent = sluice.start('shop', box.wrap(['cat']), { keepStdin: true });
  t.teardown(() => agent.stop('SIGKILL'));
  const port = await until(
    'a socket',
    async () => /127\.0\.0\.1:(\d+)/.exec(await must(box.wrap(['ss', '-Hlnu'])))?.[1] ?? null,
  );
  // Too long to be read as a question, so that its ticket stays good: for ten seconds, after which it is taken for lost.
  const long =
    'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b"x" * 5000, ("192.0.2.99", 53))';
  t.equal((await ask('shop', [PYTHON, '-c', long], world.near)).code, 0);
  const datagrams = new (addon().BpfMap)('/sys/fs/bpf/sluice/maps/sluice_datagrams');
  const tickets = datagrams.keys().map((ticket) => ticket.readInt32LE());
  datagrams.close();
  t.equal(tickets.length, 1);
  const forge = (where: Namespace, name: string, seconds: number) =>
    where.run([
      PYTHON,
      '-c',
      `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(${seconds})
s.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, ${tickets[0]})
s.sendto(b"\\0\\7\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\6${name}\\4test\\0\\0\\1\\0\\1", ("127.0.0.1", ${port}))
try: print(len(s.recv(512)) > 12)
except TimeoutError: print("silence")
`,
    ]);
  t.equal((await forge(box, 'fromit', 0.5)).stdout, 'silence\n');
  t.equal((await forge(world.near, 'atitsp', 60)).stdout, 'True\n', 'where it was made, root can');
  t.notOk(dnsmasq.queries.some((line) => /fromit/i.test(line)));
});

t.test('a forwarder that is killed is replaced there, and questions wait for it', async (t) => {
  const agent = sluice.start('shop', box.wrap(['cat']), { keepStdin: true });
  await until('the forwarder’s sockets', async () => ((await sockets()).length > 0 ? true : null));
  const parent = String((await sluice.status()).pid);
  const pid = (await must(['pgrep', '-x', '-f', 'sluice-dns', '--parent', parent])).trim();
  await must(['kill', '-KILL', pid]);
  t.equal((await dig('shop', '+short', 'a.test')).stdout, `${FAR.ipv4}\n`);
  await agent.stop('SIGKILL');
});

t.test('its sockets are closed with the last agent', async (t) => {
  await until('the box to be left', async () => ((await sockets()).length === 0 ? true : null));
  const agent = sluice.start('shop', box.wrap(['cat']), { keepStdin: true });
  const all = ['tcp 127.0.0.1', 'tcp 127.0.0.1', 'tcp [::1]', 'tcp [::1]', 'udp 127.0.0.1', 'udp [::1]'];
  await until('all sockets', async () => ((await sockets()).length >= all.length ? true : null));
  const found = new Set(await sockets());
  t.same([...found].sort(), [...new Set(all)].sort());
  await agent.stop('SIGKILL');
  await until('the box to be left', async () => ((await sockets()).length === 0 ? true : null));
});

t.test('nobody but an agent is heard there, and without a daemon nobody', async (t) => {
  const agent = sluice.start(
    'shop',
    box.wrap([
      PYTHON,
      '-c',
      `
import socket, sys
def ask(how):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(60)
    try:
        if how == "connected": s.connect(("192.0.2.99", 53)); s.send(question)
        else: s.sendto(question, ("192.0.2.99", 53))
        return len(s.recv(512)) > 12
    except OSError as error: return type(error).__name__
question = b"\\0\\7\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\6orphan\\4test\\0\\0\\1\\0\\1"
print(ask("connected"), ask("unconnected"), flush=True)
sys.stdin.readline()
print(ask("connected"), ask("unconnected"), flush=True)
`,
    ]),
    { keepStdin: true },
  );
  await agent.waitFor((r) => r.stdout.includes('\n'));
  t.equal(agent.stdout, 'True True\n');
  const port = /127\.0\.0\.1:(\d+)/.exec(await must(box.wrap(['ss', '-Hlnu'])))?.[1] ?? '';
  const stranger = await box.run([
    PYTHON,
    '-c',
    `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1)
s.sendto(b"\\0\\7\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\10stranger\\4test\\0\\0\\1\\0\\1", ("127.0.0.1", ${port}))
try: print(s.recv(100))
except TimeoutError: print("silence")
`,
  ]);
  t.equal(stranger.stdout, 'silence\n', stranger.stderr);
  const capture = await world.capture('box');
  const questions = dnsmasq.queries.length;
  await sluice.stop('SIGKILL');
  await until('the sockets to be gone', async () => ((await sockets()).length === 0 ? true : null));
  agent.write('\n');
  t.equal((await agent.finished).stdout, 'True True\nPermissionError PermissionError\n');
  t.equal(dnsmasq.queries.length, questions);
  t.notOk(dnsmasq.queries.some((line) => /stranger/i.test(line)));
  t.same(await capture.packets(), []);
});
