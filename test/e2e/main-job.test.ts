/**
 * The main job: unmodified programs that speak plain text are carried as verified TLS, and each connection is on
 * record under the process that made it. The capture beyond the host is the judge; the flow log is compared
 * with what really happened.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { FlowRecord } from '#src/flow/record.ts';
import { must, until } from '#test/support/command.ts';
import { FAR } from '#test/support/network.ts';
import { BIG_BYTES, RESPONSE_MARKER } from '#test/support/nginx.ts';
import { wireOf } from '#test/support/pcap.ts';
import { POSTGRES } from '#test/support/postgres.ts';
import { firstAnswer, PYTHON, tcpClient } from '#test/support/python.ts';
import { RAW_PORTS, RAW_TLS_NAME } from '#test/support/raw-ports.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS } from '#test/support/world-policy.ts';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(280_000);
const world = await World.open();
t.teardown(() => world.close());
const sluice = await TestSluice.start(world);
const capture = await world.capture();
const REQUEST_MARKER = 'REQUEST-MARKER-1f6e';
/** Nothing of this may ever show beyond the host; asked once more at the very end. */
const MARKERS = [REQUEST_MARKER, RESPONSE_MARKER, POSTGRES.rowMarker, POSTGRES.password, 'vault'];

const secret = (path: string): string => `/secret/${REQUEST_MARKER}/${path}`;
const answer = (method: string, path: string): string => `${RESPONSE_MARKER} ${method} ${secret(path)}\n`;

for (const [family, ip] of [
  ['-4', FAR.ipv4],
  ['-6', FAR.ipv6],
] as const) {
  t.test(`curl http://, IPv${family.slice(1)}`, async (t) => {
    const path = `curl${family}`;
    const done = await sluice.run(AGENTS.shop, ['curl', '-sS', family, `http://shop.test${secret(path)}`]);
    t.match(done, { code: 0, stdout: answer('GET', path) }, done.stderr);
    const flow = await sluice.waitForFlow((f) => f.src.exe?.endsWith('/curl') === true && f.dst.ip === ip);
    t.match(flow, {
      agent: AGENTS.shop,
      disposition: 'upgraded',
      verdict: 'allow',
      reason: 'ok',
      rule: 'all-of-it',
      protocol: 'http',
      src: { uid: 0, gid: 0, cgroup: /shop/, exe_sha256: /^[0-9a-f]{64}$/ },
      dst: { ip, port: 80, upstream_port: 443, host: 'shop.test', host_source: 'http-host', name: 'web' },
      identity: { spiffe_id: /^spiffe:\/\/world\.test\/.*shop/ },
      tls: { version: 'TLSv1.3', server_name: 'shop.test' },
    });
    t.ok((flow.src.pid ?? 0) > 1);
    t.ok(
      flow.bytes.agent_to_server > REQUEST_MARKER.length &&
        flow.bytes.server_to_agent > RESPONSE_MARKER.length,
    );
    t.ok(flow.identity.selectors.includes('unix:uid:0'));
    const entry = await world.nginx.waitForEntry((e) => e.request.includes(path));
    t.match(entry, { tls: 'TLSv1.3', host: 'shop.test' });
  });

  t.test(`psql sslmode=disable, IPv${family.slice(1)}`, async (t) => {
    const before = (await capture.conversations(POSTGRES.port)).length;
    const done = await sluice.run(
      AGENTS.shop,
      psql(`hostaddr=${ip} sslmode=disable`, 'select secret from vault'),
      {
        env: { PGPASSWORD: POSTGRES.password },
      },
    );
    t.match(done, { code: 0, stdout: `${POSTGRES.rowMarker}\n` }, done.stderr);
    const flow = await sluice.waitForFlow((f) => f.protocol === 'postgres' && f.dst.ip === ip);
    t.match(flow, {
      agent: AGENTS.shop,
      disposition: 'upgraded',
      reason: 'ok',
      dst: { port: POSTGRES.port, host: POSTGRES.name, host_source: 'policy', name: 'db' },
      tls: { server_name: POSTGRES.name },
    });
    t.match(flow.src.exe, /psql/);
    const crossed = (await capture.conversations(POSTGRES.port)).slice(before);
    t.strictSame(
      crossed.map((c) => wireOf(c.toServer)),
      ['postgres-tls'],
    );
    t.equal(crossed[0]?.server, ip);
  });
}

function psql(how: string, query: string): string[] {
  const who = `host=${POSTGRES.name} user=${POSTGRES.user} dbname=${POSTGRES.database}`;
  return ['psql', '-XAtq', `${who} ${how}`, '-c', query];
}

t.test('psql with its default sslmode, with a wrong password and with an error of its own', async (t) => {
  const env = { PGPASSWORD: POSTGRES.password };
  const prefer = await sluice.run(AGENTS.shop, psql('sslmode=prefer', 'select 6 * 7'), { env });
  t.match(prefer, { code: 0, stdout: '42\n' }, prefer.stderr);
  const wrong = await sluice.run(AGENTS.shop, psql('sslmode=disable', 'select 1'), {
    env: { PGPASSWORD: 'no' },
  });
  t.match(wrong, { code: 2, stderr: /password authentication failed/ }, "the server's own words arrive");
  const broken = await sluice.run(AGENTS.shop, psql('sslmode=disable', 'select no_such_column'), { env });
  t.match(broken, { code: 1, stderr: /column "no_such_column" does not exist/ });
  const big = await sluice.run(AGENTS.shop, psql('sslmode=disable', "select repeat('x', 20000000)"), { env });
  t.equal(big.stdout.length, 20_000_001);
});

t.test('wget', async (t) => {
  const done = await sluice.run(AGENTS.shop, ['wget', '-qO-', `http://shop.test${secret('wget')}`]);
  t.match(done, { code: 0, stdout: answer('GET', 'wget') }, done.stderr);
});

t.test('Node fetch, several requests and a body', async (t) => {
  const script = `
    for (const path of ['a', 'b']) process.stdout.write(await (await fetch('http://shop.test${secret('node-')}' + path)).text());
    const posted = await fetch('http://shop.test${secret('post')}', { method: 'POST', body: '${REQUEST_MARKER}'.repeat(50000) });
    process.stdout.write(await posted.text());`;
  const done = await sluice.run(AGENTS.shop, [process.execPath, '--input-type=module', '-e', script]);
  const expected = answer('GET', 'node-a') + answer('GET', 'node-b') + answer('POST', 'post');
  t.match(done, { code: 0, stdout: expected }, done.stderr);
});

t.test('a Go program, which makes its system calls and asks for names without libc', async (t) => {
  const dir = join(world.dir, 'go');
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'words'), 'one\ntwo\n');
  // ffuf asks for the URL with each word in the place of FUZZ, and writes down requests and answers.
  const answers = join(dir, 'answers');
  const words = ['-w', join(dir, 'words'), '-mc', 'all', '-timeout', '60', '-od', answers];
  const argv = ['ffuf', '-u', `http://shop.test${secret('go-FUZZ')}`, ...words];
  const done = await sluice.run(AGENTS.shop, argv, { names: 'dns', env: { GODEBUG: 'netdns=go' } });
  t.equal(done.code, 0, done.stderr);
  const written = readdirSync(answers).map((name) => readFileSync(join(answers, name), 'utf8'));
  for (const word of ['go-one', 'go-two'])
    t.ok(
      written.some((text) => text.includes(answer('GET', word))),
      `the answer for ${word}`,
    );
  const flow = await sluice.waitForFlow((f) => f.src.exe?.endsWith('/ffuf') === true && f.dst.port === 80);
  t.match(flow, {
    agent: AGENTS.shop,
    disposition: 'upgraded',
    protocol: 'http',
    dst: { host: 'shop.test' },
  });
  t.match(await sluice.waitForFlow((f) => f.src.exe?.endsWith('/ffuf') === true && f.protocol === 'dns'), {
    agent: AGENTS.shop,
    disposition: 'resolved',
    dst: { host: 'shop.test' },
  });
});

const noJdk = onPath('javac') ? false : 'no JDK is installed: it is too large to install for one test';
t.test('a Java program', { skip: noJdk }, async (t) => {
  const source = join(world.dir, 'Client.java');
  writeFileSync(
    source,
    `import java.net.URI;
import java.net.http.*;
public class Client {
  public static void main(String[] args) throws Exception {
    var request = HttpRequest.newBuilder(URI.create(args[0])).build();
    System.out.print(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body());
  }
}
`,
  );
  const done = await sluice.run(AGENTS.shop, ['java', source, `http://shop.test${secret('java')}`]);
  t.match(done, { code: 0, stdout: answer('GET', 'java') }, done.stderr);
  t.match(await sluice.waitForFlow((f) => f.src.exe?.endsWith('/java') === true && f.dst.port === 80), {
    agent: AGENTS.shop,
    disposition: 'upgraded',
    dst: { host: 'shop.test' },
  });
});

function onPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((dir) => existsSync(join(dir, program)));
}

for (const [name, ip] of [
  ['IPv4', FAR.ipv4],
  ['IPv6', FAR.ipv6],
  ['v4-mapped IPv6', `::ffff:${FAR.ipv4}`],
] as const) {
  t.test(`a plain socket over ${name}, with half-close`, async (t) => {
    const done = await sluice.run(AGENTS.shop, tcpClient(ip, RAW_PORTS.echo, REQUEST_MARKER));
    t.equal(done.stdout, `${REQUEST_MARKER}\nend ${REQUEST_MARKER.length}\n`, done.stderr);
    const flow = await sluice.waitForFlow(
      (f) => f.dst.port === RAW_PORTS.echo && f.dst.ip === ip.replace('::ffff:', ''),
    );
    t.match(flow, { reason: 'ok', dst: { host: RAW_TLS_NAME, host_source: 'policy' } });
    t.match(flow.bytes, {
      agent_to_server: REQUEST_MARKER.length,
      server_to_agent: done.stdout.length,
    });
  });
}

t.test('the agent sees the address it asked for, and only that', async (t) => {
  const script = `
import socket
s = socket.create_connection(("${FAR.ipv4}", ${RAW_PORTS.echo}), 60)
print(s.getpeername()[:2])`;
  const done = await sluice.run(AGENTS.shop, [PYTHON, '-c', script]);
  t.equal(done.stdout, `('${FAR.ipv4}', ${RAW_PORTS.echo})\n`, done.stderr);
});

t.test('TCP Fast Open, both ways of asking for it', async (t) => {
  // 30: TCP_FASTOPEN_CONNECT, linux/tcp.h.
  const scripts = {
    option: `s.setsockopt(socket.IPPROTO_TCP, 30, 1); s.connect(to); s.sendall(data)`,
    flag: `s.sendto(data, socket.MSG_FASTOPEN, to)`,
  };
  for (const [way, statements] of Object.entries(scripts)) {
    const script = `
import socket
to, data = ("${FAR.ipv4}", ${RAW_PORTS.echo}), b"${REQUEST_MARKER}"
s = socket.socket()
${statements}
s.shutdown(socket.SHUT_WR)
while chunk := s.recv(999): print(chunk.decode(), end="")`;
    const done = await sluice.run(AGENTS.shop, [PYTHON, '-c', script]);
    t.equal(done.stdout, `${REQUEST_MARKER}\nend ${REQUEST_MARKER.length}\n`, `${way}: ${done.stderr}`);
  }
});

t.test('names by DNS: the only datagrams an agent may send', async (t) => {
  const done = await sluice.run(AGENTS.shop, ['curl', '-sS', `http://shop.test${secret('dns')}`], {
    names: 'dns',
  });
  t.match(done, { code: 0, stdout: answer('GET', 'dns') }, done.stderr);
});

t.test('an agent that speaks TLS itself passes only where policy says so', async (t) => {
  const client = ['curl', '-sS', '--cacert', world.pki.ca, 'https://shop.test/'];
  const passed = await sluice.run(AGENTS.modern, client);
  t.match(passed, { code: 0, stdout: /hello from shop\.test over TLS/ }, passed.stderr);
  t.match(await sluice.waitForFlow((f) => f.agent === AGENTS.modern), {
    disposition: 'passthrough',
    verdict: 'allow',
    reason: 'ok',
    protocol: 'tls',
    tls: { agent_sni: 'shop.test' },
  });
  const refused = await sluice.run(AGENTS.shop, client);
  t.not(refused.code, 0);
  t.match(await sluice.waitForFlow((f) => f.reason === 'agent_tls_denied'), {
    agent: AGENTS.shop,
    disposition: 'denied',
    verdict: 'deny',
  });
});

t.test('a client certificate is shown where policy names one', async (t) => {
  const done = await sluice.run(AGENTS.shop, ['curl', '-sS', 'http://client-cert.test/']);
  t.match(done, { code: 0, stdout: /hello from client-cert\.test/ }, done.stderr);
});

t.test('64 MiB arrive whole, and a second connection resumes the TLS session', async (t) => {
  const script = `curl -sS -o /dev/null -w '%{size_download} ' http://shop.test/big; curl -sS http://shop.test/big | cksum`;
  const done = await sluice.run(AGENTS.shop, ['sh', '-c', script]);
  const expected = (await must(['sh', '-c', `cksum <${world.dir}/nginx/big`])).trim();
  t.equal(done.stdout.trim(), `${BIG_BYTES} ${expected}`, done.stderr);
  const resumed = await sluice.waitForFlows(1, (f) => f.tls?.resumed === true && f.dst.host === 'shop.test');
  t.ok(resumed.length > 0);
});

t.test('a server that does not read slows the agent down, and loses nothing', async (t) => {
  // Sends until the socket has taken nothing for two seconds, says how much that was, then sends the rest.
  const total = 64 * 1024 * 1024;
  const script = `
import select, socket, sys
s = socket.create_connection(("${FAR.ipv4}", ${RAW_PORTS.slow}), 60)
s.setblocking(False)
data, sent = bytes(1 << 20), 0
while select.select([], [s], [], 2)[1] and sent < ${total}: sent += s.send(data[:${total} - sent])
print("stalled", sent, flush=True)
s.setblocking(True)
while sent < ${total}: sent += s.send(data[:${total} - sent])
s.shutdown(socket.SHUT_WR)
print(s.recv(99).decode(), flush=True)`;
  const sender = sluice.start(AGENTS.shop, [PYTHON, '-c', script], { timeoutMs: 120_000 });
  await sender.waitFor((r) => /stalled \d+\n/.test(r.stdout));
  const stalledAt = Number(/stalled (\d+)/.exec(sender.stdout)?.[1]);
  // Socket buffers of four hops may hold some megabytes; a proxy without backpressure takes all of it.
  t.ok(stalledAt < total / 2, `${stalledAt} bytes were taken while nobody read`);
  await world.raw.resume();
  const done = await sender.finished;
  t.match(done.stdout, /read all/, done.stderr);
  t.equal(await world.raw.receivedBytes('slow'), total);
});

t.test('resets are passed on, from either side', async (t) => {
  // An agent that keeps its side open: of one that has ended it, test/unit/proxy/session.test.ts tells.
  const done = await sluice.run(AGENTS.shop, firstAnswer(FAR.ipv4, RAW_PORTS.resetLater, 'x'));
  t.equal(done.stdout, 'ConnectionResetError');
  t.match(await sluice.waitForFlow((f) => f.dst.port === RAW_PORTS.resetLater), { reason: 'server_reset' });
  const script = `
import socket, struct
s = socket.create_connection(("${FAR.ipv4}", ${RAW_PORTS.source}), 60)
s.sendall(b"100000000\\n"); s.recv(1000)
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); s.close()`;
  await sluice.run(AGENTS.shop, [PYTHON, '-c', script]);
  t.match(await sluice.waitForFlow((f) => f.dst.port === RAW_PORTS.source), { reason: 'agent_reset' });
});

t.test(
  'an answer that a FIN without close_notify ends, as many servers do: whole as far as the agent can tell',
  async (t) => {
    const url = `http://${RAW_TLS_NAME}:${RAW_PORTS.cutShort}`;
    const cut = (f: FlowRecord): boolean => f.dst.port === RAW_PORTS.cutShort;
    const unmeasured = await sluice.run(AGENTS.shop, ['curl', '-sS', `${url}/all`]);
    t.match(unmeasured, { code: 0, stdout: 'half' }, unmeasured.stderr);
    const half = await sluice.run(AGENTS.shop, ['curl', '-sS', `${url}/half`]);
    t.match(half, { code: 18, stdout: 'half', stderr: /bytes remaining/ }, 'where a length was said, it can');
    for (const flow of await sluice.waitForFlows(2, cut))
      t.match(
        flow,
        { reason: 'ok', verdict: 'allow', tls: { close_notify: false } },
        'the record says it of both',
      );
    t.match(await sluice.waitForFlow((f) => f.dst.port === RAW_PORTS.echo && f.reason === 'ok'), {
      tls: { close_notify: true },
    });
  },
);

t.test('sluice run passes stdin, output, exit codes and signals through', async (t) => {
  const through = await sluice.run(AGENTS.shop, ['sh', '-c', 'cat; echo err >&2; exit 7'], { input: 'in' });
  t.match(through, { code: 7, stdout: 'in', stderr: /err/ });
  t.match(await sluice.run(AGENTS.shop, ['sh', '-c', 'kill -TERM $$']), { code: 143 });
  t.match(await sluice.run(AGENTS.shop, ['/no/such/program']), { code: 127 });
  const trapping = sluice.start(AGENTS.shop, [
    'sh',
    '-c',
    `trap 'echo got it; exit 5' TERM; echo ready; while :; do sleep 0.05; done`,
  ]);
  await trapping.waitFor((r) => r.stdout.includes('ready'));
  t.match(await trapping.stop('SIGTERM'), { code: 5, stdout: /got it/ });
});

t.test('what no rule allows is refused and on record', async (t) => {
  const done = await sluice.run(AGENTS.nobody, [
    'curl',
    '-sS',
    '-m',
    '60',
    `http://shop.test${secret('denied')}`,
  ]);
  t.not(done.stdout, answer('GET', 'denied'));
  t.match(await sluice.waitForFlow((f) => f.agent === AGENTS.nobody), {
    disposition: 'denied',
    verdict: 'deny',
    reason: 'no_rule',
    rule: null,
    tls: null,
  });
});

t.test('status, flows and doctor tell the same story', async (t) => {
  const status = await sluice.cli(['status']);
  t.equal(status.code, 0, status.stdout + status.stderr);
  const table = await sluice.cli(['flows', '--agent', AGENTS.shop]);
  t.match(table, { code: 0, stdout: /shop\.test/ }, table.stderr);
  const json = await sluice.cli(['flows', '--agent', AGENTS.modern, '--output', 'json']);
  t.match(json, { code: 0, stdout: /"passthrough"/ }, json.stderr);
  const doctor = await sluice.cli(['doctor']);
  t.equal(doctor.code, 0, doctor.stdout + doctor.stderr);
});

t.test('one daemon per host: a second one says so and stops', async (t) => {
  const dirs = ['--state-dir', join(world.dir, 'second-state'), '--policy', sluice.policyPath];
  const second = await sluice.cli(['daemon', ...dirs], { timeoutMs: 60_000 });
  t.equal(second.timedOut, false);
  t.not(second.code, 0);
  t.match(second.stdout + second.stderr, /already|running/i);
  t.equal((await sluice.status()).enforcing, true);
});

t.test('after all of it: nothing but TLS left the host, and every flow has one record', async (t) => {
  await capture.assertNoPlaintext(MARKERS);
  t.ok((await capture.assertAllTls()) > 15);
  await sluice.atRest();
  const stored = await sluice.storedFlows();
  // What is stored is logged next.
  await until('as many records in the log', () => sluice.log.length >= stored.length);
  const ids = sluice.log.map((f) => f.id);
  t.equal(new Set(ids).size, ids.length, 'no flow has two records');
  t.strictSame(new Set(stored.map((f) => f.id)), new Set(ids), 'the store and the log agree');
});
