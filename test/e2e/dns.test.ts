/**
 * DNS of agents, whole: real clients on the near side, dnsmasq and a server that lies on the far one. What an agent
 * resolved is the name its servers are verified by; no other agent's answers are. The capture says what was asked.
 */
import { join } from 'node:path';
import t from 'tap';
import type { FlowRecord } from '#src/flow/record.ts';
import type { Finished } from '#test/support/command.ts';
import { must, until } from '#test/support/command.ts';
import { Dnsmasq } from '#test/support/dnsmasq.ts';
import { FAR, NEAR } from '#test/support/network.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';

t.setTimeout(390_000);
const world = await World.open([]);
t.teardown(() => world.close());
const SECOND = '10.198.1.3';
/** Of the one name that does not live long. */
const THIRD = '10.198.1.4';
await world.far.configure([SECOND, THIRD].map((ip) => `addr add ${ip}/24 dev ${FAR.device}`));

const LONG = Array.from({ length: 12 }, (_, n) => `--txt-record=long.test,${String(n).repeat(200)}`);
const dnsmasq = await Dnsmasq.start(world.far, FAR.ipv4, [
  '--local-ttl=600',
  `--host-record=brief.test,${THIRD},1`,
  `--host-record=a.test,${FAR.ipv4},${FAR.ipv6}`,
  `--host-record=b.test,${FAR.ipv4}`,
  `--host-record=other-certificate.test,${SECOND}`,
  `--host-record=split.hostile.test,${FAR.ipv4}`,
  `--host-record=second.test,${SECOND}`,
  '--cname=alias.test,middle.test',
  '--cname=middle.test,a.test',
  '--cname=www.b.test,b.test',
  ...LONG,
]);
world.beforeClose(() => dnsmasq.stop());
const hostile = world.far.start([
  '/usr/bin/python3',
  join(import.meta.dirname, '../support/programs/hostile-dns.py'),
  FAR.ipv6,
]);
await hostile.waitFor((r) => r.stdout.includes('ready'));
world.beforeClose(() => hostile.stop('SIGKILL'));

/** TLS under any of its names, which answers each line with the name it was asked for. */
const NAMES = [
  'a.test',
  'alias.test',
  'b.test',
  'www.b.test',
  'split.hostile.test',
  'splitb.hostile.test',
  'fixed.test',
  'brief.test',
];
const certificates: Record<string, { cert: string; key: string }> = {};
for (const name of NAMES) certificates[name] = await world.pki.issue(name);
const TLS_PORT = 9443;
const PG_PORT = 9432;
const tls = world.far.start([
  process.execPath,
  '-e',
  `const tls = require('node:tls'), fs = require('node:fs');
const files = JSON.parse(process.argv[1]);
const contexts = Object.fromEntries(Object.entries(files).map(([name, { cert, key }]) =>
  [name, tls.createSecureContext({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) })]));
const options = { SNICallback: (name, done) => done(null, contexts[name] ?? contexts['a.test']) };
const converse = (socket) => {
  socket.on('error', () => {});
  socket.on('data', () => socket.end('HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n\\r\\nasked for ' + socket.servername + '\\n'));
};
tls.createServer(options, converse).listen(${TLS_PORT}, '::', () => console.log('ready'));
`,
  JSON.stringify(certificates),
]);
await tls.waitFor((r) => r.stdout.includes('ready'));
world.beforeClose(() => tls.stop('SIGKILL'));

/** The one that lies is asked where a test means it, and not because the other took long. */
const BOTH = `${FAR.ipv4}, '${FAR.ipv6}'`;
const policy = (dns = '', resolvers: string = FAR.ipv4): string => `version: 1
dns: { resolvers: [${resolvers}]${dns} }
limits: { detect_timeout_ms: 2000, connect_timeout_ms: 10000, handshake_timeout_ms: 10000 }
agents:
  - { name: shop, match: [{ run: shop }] }
  - { name: stock, match: [{ run: stock }] }
  - { name: fixed, match: [{ run: fixed }] }
  - { name: web, match: [{ run: web }] }
destinations:
  - name: named
    hosts: [a.test, alias.test, b.test, www.b.test, '*.hostile.test', other-certificate.test, brief.test]
    ports: [${TLS_PORT}]
    protocol: tls
    tls: { ca: ${world.pki.ca} }
  - name: any-postgres
    ports: [${PG_PORT}]
    protocol: postgres
    tls: { ca: ${world.pki.ca} }
  - name: fixed
    cidrs: [${FAR.ipv4}]
    ports: [${TLS_PORT}]
    protocol: tls
    tls: { ca: ${world.pki.ca}, server_name: fixed.test }
  - name: web
    hosts: [a.test, b.test]
    ports: [${TLS_PORT}]
    protocol: http
    tls: { ca: ${world.pki.ca} }
rules:
  - { name: named, agents: [shop, stock], destinations: [named, any-postgres], action: allow }
  - { name: fixed, agents: [fixed], destinations: [fixed], action: allow }
  - { name: web, agents: [web], destinations: [web], action: allow }
`;
const sluice = await TestSluice.start(world, { policy: policy() });
const capture = await world.capture();

const ask = (agent: string, ...argv: string[]): Promise<Finished> =>
  sluice.run(agent, argv, { names: 'dns', timeoutMs: 120_000 });
const dig = (agent: string, ...argv: string[]): Promise<Finished> =>
  ask(agent, 'dig', '+time=30', '+tries=1', ...argv);
const curl = (agent: string, url: string, ...more: string[]): Promise<Finished> =>
  ask(agent, 'curl', '-sSf', '--max-time', '60', ...more, url);
const questions = (fits: (record: FlowRecord) => boolean): Promise<FlowRecord> =>
  sluice.waitForFlow((f) => f.protocol === 'dns' && fits(f));

t.test('getent, Python and Node resolve names, in both families', async (t) => {
  t.match((await ask('shop', 'getent', 'ahostsv4', 'a.test')).stdout, new RegExp(`^${FAR.ipv4} `));
  t.match((await ask('shop', 'getent', 'ahostsv6', 'a.test')).stdout, new RegExp(`^${FAR.ipv6} `));
  const python = 'import socket; print(sorted({a[4][0] for a in socket.getaddrinfo("alias.test", 1)}))';
  t.equal(
    (await ask('shop', '/usr/bin/python3', '-c', python)).stdout,
    `['${FAR.ipv4}', '${FAR.ipv6}']\n`,
    'along a chain of aliases',
  );
  const node = `const dns = require('node:dns').promises;
Promise.all([dns.resolve4('a.test'), dns.resolve6('a.test'), dns.resolveCname('alias.test'), dns.resolve4('none.test').catch((e) => e.code)]).then((r) => console.log(JSON.stringify(r)))`;
  t.equal(
    (await ask('shop', process.execPath, '-e', node)).stdout,
    `${JSON.stringify([[FAR.ipv4], [FAR.ipv6], ['middle.test'], 'ENOTFOUND'])}\n`,
  );
  const record = await questions((f) => f.dst.host === 'a.test' && f.src.exe?.endsWith('/getent') === true);
  t.match(record, {
    agent: 'shop',
    disposition: 'resolved',
    verdict: 'allow',
    reason: 'ok',
    dst: { ip: FAR.ipv4, port: 53, host_source: 'dns' },
    detail: `A from ${FAR.ipv4}: NOERROR, 1 address`,
  });
});

for (const [how, ...options] of [
  ['a datagram'],
  ['EDNS off', '+noedns'],
  ['TCP', '+tcp'],
  ['options a server could be told things by', '+nsid', '+cookie=0123456789abcdef', '+subnet=192.0.2.0/24'],
  ['DNSSEC', '+dnssec'],
])
  t.test(`dig with ${how}`, async (t) => {
    const { stdout } = await dig('shop', ...options, 'alias.test', 'A');
    t.match(stdout, /status: NOERROR/);
    t.match(stdout, new RegExp(`middle\\.test\\..*\\n.*${FAR.ipv4.replaceAll('.', '\\.')}`));
    t.match(stdout, new RegExp(`SERVER: ${FAR.ipv4.replaceAll('.', '\\.')}#53`));
    t.equal(/OPT PSEUDOSECTION/.test(stdout), !options.includes('+noedns'), 'EDNS only for who speaks it');
  });

t.test('what is too large for a datagram comes by TCP', async (t) => {
  for (const options of [[], ['+noedns'], ['+tcp']]) {
    const { stdout } = await dig('shop', ...options, 'long.test', 'TXT');
    t.match(stdout, /ANSWER: 12,/, options.join());
  }
  const cut = await dig('shop', '+ignore', '+bufsize=600', 'long.test', 'TXT');
  t.match(cut.stdout, /flags: [^;]*\btc\b.*ANSWER: 0,/, 'the agent is told to ask by TCP');
  t.match(await questions((f) => f.dst.host === 'long.test' && f.src.ip !== null), {
    verdict: 'allow',
    detail: /^TXT from /,
  });
});

t.test('whatever resolver an agent asks, those of the policy are asked', async (t) => {
  for (const server of ['192.0.2.99', '2001:db8::99', '127.0.0.53', '::1']) {
    const { stdout } = await dig('shop', `@${server}`, 'b.test', 'A');
    t.match(stdout, /status: NOERROR/, server);
    t.match(stdout, `SERVER: ${server}#53`, 'the agent hears the one it asked');
    t.match((await dig('shop', '+tcp', `@${server}`, 'b.test', 'A')).stdout, FAR.ipv4, `${server} by TCP`);
  }
  const asked = (await capture.packets()).filter((p) => p.dstPort === 53 && p.src !== FAR.ipv4);
  t.same([...new Set(asked.map((p) => p.dst))], [FAR.ipv4]);
  t.ok(new Set(asked.map((p) => p.srcPort)).size > 20, 'a port of its own for each question');
});

t.test('the questions that leave are Sluice’s own, and hold the name alone', async (t) => {
  const asked = (await capture.packets()).filter(
    (p) => p.transport === 'udp' && p.dstPort === 53 && p.payload.length > 0,
  );
  const names = asked.map((p) => p.payload.subarray(12, p.payload.indexOf(0, 12)).toString('latin1'));
  t.ok(
    names.some((name) => /[A-Z]/.test(name)),
    'in mixed case',
  );
  // One question and EDNS without options, whatever dig was told to send.
  t.ok(asked.every((p) => p.payload.length === p.payload.indexOf(0, 12) + 5 + 11));
  t.equal(new Set(asked.map((p) => p.payload.readUInt16BE(0))).size > asked.length / 2, true);
});

for (const family of ['-4', '-6'])
  t.test(`a server is verified by the name the agent resolved, IPv${family.slice(1)}`, async (t) => {
    const done = await curl('shop', `http://a.test:${TLS_PORT}/`, family);
    t.equal(done.stdout, 'asked for a.test\n', done.stderr);
    const ip = family === '-4' ? FAR.ipv4 : FAR.ipv6;
    t.match(await sluice.waitForFlow((f) => f.dst.port === TLS_PORT && f.dst.ip === ip), {
      disposition: 'upgraded',
      rule: 'named',
      protocol: 'opaque',
      dst: { host: 'a.test', host_source: 'dns', name: 'named' },
      tls: { server_name: 'a.test' },
    });
  });

t.test('the name is the one that was asked for, not the one its aliases lead to', async (t) => {
  t.equal((await curl('shop', `http://alias.test:${TLS_PORT}/`, '-4')).stdout, 'asked for alias.test\n');
  t.equal((await curl('shop', `http://www.b.test:${TLS_PORT}/`)).stdout, 'asked for www.b.test\n');
});

t.test('a name stands for the answer’s TTL and the grace of the policy, and then for nothing', async (t) => {
  t.teardown(() => apply(policy()));
  const direct = (): Promise<Finished> =>
    sluice.run('shop', ['curl', '-sS', '--max-time', '60', `http://${THIRD}:${TLS_PORT}/`]);
  const resolveAndWait = async (): Promise<void> => {
    t.equal((await dig('shop', '+short', 'brief.test')).stdout, `${THIRD}\n`);
    // Beyond a TTL of one second, and a grace of one, which begin when those who decide hear of the answer.
    await new Promise((resolve) => setTimeout(resolve, 4_500));
  };
  await resolveAndWait();
  t.equal((await direct()).stdout, 'asked for brief.test\n', 'held on to: the usual grace');
  await apply(policy(', name_grace_seconds: 1'));
  await resolveAndWait();
  t.notMatch((await direct()).stdout, 'asked for');
  t.match(await sluice.waitForFlow((f) => f.dst.ip === THIRD && f.reason !== 'ok'), {
    reason: 'name_required',
    disposition: 'denied',
  });
  t.match(
    (await curl('shop', `http://a.test:${TLS_PORT}/`, '-4')).stdout,
    'asked for a.test',
    'a longer TTL',
  );
  await resolveAndWait();
  await apply(policy(', name_grace_seconds: 60'));
  t.equal((await direct()).stdout, 'asked for brief.test\n', 'what was resolved before as well');
});

t.test('one agent’s answers name nothing for another', async (t) => {
  const direct = ['curl', '-sSf', '--max-time', '60', `http://${FAR.ipv4}:${TLS_PORT}/`];
  t.equal((await curl('shop', `http://a.test:${TLS_PORT}/`, '-4')).stdout, 'asked for a.test\n');
  t.not((await sluice.run('stock', direct)).code, 0, 'stock has resolved nothing');
  t.match(await sluice.waitForFlow((f) => f.agent === 'stock' && f.dst.port === TLS_PORT), {
    reason: 'name_required',
    disposition: 'denied',
  });
  // Both mean one address by different names, at once.
  t.equal((await curl('stock', `http://b.test:${TLS_PORT}/`)).stdout, 'asked for b.test\n');
  const [shop, stock] = await Promise.all([sluice.run('shop', direct), sluice.run('stock', direct)]);
  t.equal(shop.stdout, 'asked for a.test\n');
  t.equal(stock.stdout, 'asked for b.test\n');
});

t.test('two agents with two views of one name', async (t) => {
  await apply(policy('', BOTH));
  t.teardown(() => apply(policy()));
  // dnsmasq and the other server disagree where split.hostile.test is.
  t.match((await dig('shop', '+short', 'split.hostile.test')).stdout, FAR.ipv4);
  t.match((await dig('stock', '+short', `@${FAR.ipv6}`, 'split.hostile.test')).stdout, SECOND);
  t.match((await dig('stock', '+short', `@${FAR.ipv6}`, 'splitb.hostile.test')).stdout, FAR.ipv4);
  const at = (agent: string, ip: string): Promise<Finished> =>
    sluice.run(agent, ['curl', '-sSf', '--max-time', '60', `http://${ip}:${TLS_PORT}/`]);
  t.equal((await at('shop', FAR.ipv4)).stdout, 'asked for split.hostile.test\n');
  t.equal((await at('stock', FAR.ipv4)).stdout, 'asked for splitb.hostile.test\n');
  t.equal((await at('stock', SECOND)).stdout, 'asked for split.hostile.test\n');
  t.not((await at('shop', SECOND)).code, 0, 'shop was never told of that address');
});

t.test('a name that was resolved still has to be proved, and allowed', async (t) => {
  t.not((await curl('shop', `http://other-certificate.test:${TLS_PORT}/`)).code, 0);
  t.match(
    await sluice.waitForFlow((f) => f.dst.host === 'other-certificate.test' && f.dst.port === TLS_PORT),
    {
      reason: 'tls_name_mismatch',
      disposition: 'denied',
      dst: { host_source: 'dns' },
    },
  );
  t.not((await curl('shop', `http://second.test:${TLS_PORT}/`)).code, 0);
  t.match(await sluice.waitForFlow((f) => f.dst.host === 'second.test' && f.dst.port === TLS_PORT), {
    reason: 'no_rule',
    verdict: 'deny',
  });
});

t.test('policy’s name goes before DNS, and so does a Host', async (t) => {
  t.equal((await curl('fixed', `http://b.test:${TLS_PORT}/`)).stdout, 'asked for fixed.test\n');
  const host = await curl('web', `http://b.test:${TLS_PORT}/`, '-H', 'Host: a.test');
  t.equal(host.stdout, 'asked for a.test\n', host.stderr);
  t.match(await sluice.waitForFlow((f) => f.agent === 'web' && f.dst.port === TLS_PORT), {
    dst: { host: 'a.test', host_source: 'http-host' },
  });
});

const LIES = [
  'loop',
  'forward',
  'cnameloop',
  'unasked',
  'aliasunasked',
  'short',
  'count',
  'trailing',
  'cut',
  'chaos',
  'flood',
] as const;

t.test('answers that lie are refused, and name nothing', async (t) => {
  await apply(policy('', BOTH));
  t.teardown(() => apply(policy()));
  const { pid } = { pid: (await sluice.status()).pid };
  const forwarderBefore = await forwarderPid();
  const results = await Promise.all(
    LIES.map((lie) => dig('stock', `@${FAR.ipv6}`, `${lie}.hostile.test`, 'A')),
  );
  for (const [index, { stdout }] of results.entries()) {
    // dnsmasq is asked next, and knows no such name.
    t.match(stdout, /status: (SERVFAIL|NXDOMAIN)/, String(LIES[index]));
    t.notMatch(stdout, '10.198.1.66', String(LIES[index]));
  }
  const forged = await dig('stock', '+short', `@${FAR.ipv6}`, 'forged.hostile.test', 'A');
  t.equal(forged.stdout, `${FAR.ipv4}\n`, 'guesses are passed over until the answer comes');
  t.equal((await sluice.status()).pid, pid);
  t.equal(await forwarderPid(), forwarderBefore, 'the forwarder lives');
});

async function apply(text: string): Promise<void> {
  sluice.writePolicy(text);
  const { code, stderr } = await sluice.cli(['policy', 'apply', sluice.policyPath]);
  if (code !== 0) throw new Error(stderr);
}

async function forwarderPid(): Promise<string> {
  return (
    await must(['pgrep', '-x', '-f', 'sluice-dns', '--parent', String((await sluice.status()).pid)])
  ).trim();
}

t.test('the forwarder has no privilege', async (t) => {
  const status = await must(['cat', `/proc/${await forwarderPid()}/status`]);
  t.match(status, /^CapEff:\t0+$/m);
  t.match(status, /^CapPrm:\t0+$/m);
  t.match(status, /^NoNewPrivs:\t1$/m);
  t.notMatch(status, /^Uid:\t0\t/m);
});

t.test('a forwarder that is killed is replaced, and questions wait for it', async (t) => {
  await must(['kill', '-KILL', await forwarderPid()]);
  const { stdout } = await dig('shop', '+short', 'a.test', 'A');
  t.equal(stdout, `${FAR.ipv4}\n`);
  t.equal((await sluice.status()).counters['dns.restarts'], 1);
});

t.test('where policy bounds names, others do not exist and nobody hears of them', async (t) => {
  sluice.writePolicy(policy(', names: policy'));
  t.equal((await sluice.cli(['policy', 'apply', sluice.policyPath])).code, 0);
  t.teardown(async () => {
    sluice.writePolicy(policy());
    await sluice.cli(['policy', 'apply', sluice.policyPath]);
  });
  const told = await dig('shop', 'secret-0123456789.exfiltration.test', 'TXT');
  t.match(told.stdout, /status: NXDOMAIN/);
  t.match(told.stdout, /EDE: 18 \(Prohibited\)/);
  t.match(await questions((f) => f.dst.host === 'secret-0123456789.exfiltration.test'), {
    verdict: 'deny',
    reason: 'no_rule',
    disposition: 'denied',
  });
  t.match((await dig('shop', '+short', 'a.test')).stdout, FAR.ipv4);
  t.match((await dig('fixed', 'a.test')).stdout, /status: NXDOMAIN/, 'it is another agent’s name');
  t.same(await capture.markersSeen(['exfiltration']), []);
});

t.test('a flood of questions is bounded, counted, and no flood of records', async (t) => {
  sluice.writePolicy(policy(', queries_per_second: 5'));
  t.equal((await sluice.cli(['policy', 'apply', sluice.policyPath])).code, 0);
  t.teardown(async () => {
    sluice.writePolicy(policy());
    await sluice.cli(['policy', 'apply', sluice.policyPath]);
  });
  const flood = `
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(60)
s.connect(("${FAR.ipv4}", 53))
codes = {}
for n in range(300):
    name = b"".join(bytes([len(l)]) + l for l in (b"flood%d" % n, b"test")) + b"\\0"
    s.send(struct.pack(">HHHHHH", n, 0x100, 1, 0, 0, 0) + name + struct.pack(">HH", 1, 1))
    code = s.recv(512)[3] & 15
    codes[code] = codes.get(code, 0) + 1
print(codes.get(5, 0))
`;
  const refused = Number((await ask('web', '/usr/bin/python3', '-c', flood)).stdout);
  t.ok(refused > 200, `${refused} of 300 were refused`);
  t.match(await sluice.waitForFlow((f) => f.agent === 'web' && f.reason === 'overloaded'), {
    protocol: 'dns',
  });
  const records = sluice.log.filter((f) => f.agent === 'web' && f.reason === 'overloaded');
  t.ok(records.length < 20, `${records.length} records`);
  const asked = await until('questions at dnsmasq', () => {
    // Each once: who is not answered in time is asked again.
    const names = dnsmasq.queries.flatMap(
      (line) => /\] (flood\d+)\.test /i.exec(line)?.[1]?.toLowerCase() ?? [],
    );
    return new Set(names).size;
  });
  t.ok(asked + refused <= 300, `${asked} were asked`);
  t.equal(
    await until('the count', async () => {
      const limited = (await sluice.status()).counters['dns.limited'] ?? 0;
      return limited >= refused ? limited : null;
    }),
    refused,
  );
});

t.test('what is no question is answered as such, or not at all', async (t) => {
  const script = `
import socket, struct
def send(message):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(message, ("${FAR.ipv4}", 53)); return s
def answer(s, seconds):
    s.settimeout(seconds)
    try: return s.recv(4096)[3] & 15
    except TimeoutError: return None
def ask(message): return answer(send(message), 60)
question = b"\\1a\\4test\\0" + struct.pack(">HH", 1, 1)
# They have been read when those behind them are answered.
silent = [send(b""), send(b"x" * 11), send(struct.pack(">HHHHHH", 7, 0x8180, 1, 0, 0, 0) + question)]
print(ask(struct.pack(">HHHHHH", 7, 0x100, 2, 0, 0, 0) + question + question),
  ask(struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + question + b"smuggled"),
  ask(struct.pack(">HHHHHH", 7, 0x2900, 1, 0, 0, 0) + question),
  ask(struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + b"\\xc0\\x0c" + struct.pack(">HH", 1, 1)),
  ask(struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + question), *[answer(s, 0.3) for s in silent])
`;
  const { stdout, stderr } = await ask('stock', '/usr/bin/python3', '-c', script);
  t.equal(stdout, '1 1 4 1 0 None None None\n', stderr);
});

t.test('without a daemon there is no DNS, and nothing crosses', async (t) => {
  const agent = sluice.start(
    'shop',
    [
      '/usr/bin/python3',
      '-c',
      `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print("up", flush=True)
sys.stdin.readline()
try: s.sendto(b"\\0\\7\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\6orphan\\4test\\0\\0\\1\\0\\1", ("${FAR.ipv4}", 53)); print("sent")
except OSError as error: print(type(error).__name__)
`,
    ],
    { keepStdin: true },
  );
  await agent.waitFor((r) => r.stdout.includes('up'));
  await sluice.stop('SIGKILL');
  agent.write('\n');
  t.equal((await agent.finished).stdout, 'up\nPermissionError\n');
  t.same(await capture.markersSeen(['orphan']), []);
  const sources = (await capture.packets()).filter((p) => p.dstPort === 53).map((p) => p.src);
  t.same([...new Set(sources)].sort(), [NEAR.ipv4, NEAR.ipv6].sort());
});
