/**
 * Servers that cannot be trusted or cannot be reached. Each time the agent gets a prompt error in its own
 * protocol, the record says the reason, and not one byte the agent said crosses in plain text.
 */
import t, { type Test } from 'tap';
import type { Reason } from '#src/flow/record.ts';
import { FAR, SILENT } from '#test/support/network.ts';
import { PLAIN_HTTP_PORT } from '#test/support/nginx.ts';
import { POSTGRES } from '#test/support/postgres.ts';
import { PYTHON, tcpClient } from '#test/support/python.ts';
import { RAW_PORTS } from '#test/support/raw-ports.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS, worldPolicy } from '#test/support/world-policy.ts';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(280_000);
const world = await World.open();
t.teardown(() => world.close());
// Short, for they are waited for here.
const limits = { connect_timeout_ms: 2000, handshake_timeout_ms: 2000 };
const sluice = await TestSluice.start(world, { policy: worldPolicy(world, { limits }) });
const capture = await world.capture();
const MARKER = 'REQUEST-MARKER-88aa';
/** How long a client waits: longer than policy lets any flow, so that it is Sluice that ends it. */
const CLIENT_MS = 50_000;
/** What of the policy passes soon where a test waits for it. Alone: no other is to pass on a busy machine. */
const SOON_MS = 2000;
/** What Python makes of an RST, by the call it is in at that moment. */
const RESET = /^(ConnectionResetError|BrokenPipeError|OSError)$/;

const httpFaults: readonly (readonly [name: string, reason: Reason])[] = [
  ['expired.test', 'tls_certificate_expired'],
  ['not-yet.test', 'tls_certificate_not_yet_valid'],
  ['self-signed.test', 'tls_self_signed'],
  ['wrong-name.test', 'tls_name_mismatch'],
  ['unknown-ca.test', 'tls_unknown_ca'],
  [`plain.test:${PLAIN_HTTP_PORT}`, 'tls_not_offered'],
];

for (const [host, reason] of httpFaults) {
  t.test(`HTTP to ${host}: 502 with the reason ${reason}`, async (t) => {
    const url = `http://${host}/secret/${MARKER}`;
    const done = await sluice.run(AGENTS.shop, [
      'curl',
      '-sSi',
      '--max-time',
      String(CLIENT_MS / 1000),
      '-d',
      MARKER,
      url,
    ]);
    t.equal(done.code, 0, done.stderr);
    t.match(done.stdout, /^HTTP\/1\.1 502 /);
    t.match(done.stdout, new RegExp(`^sluice-reason: ${reason}\r$`, 'im'));
    const id = /^sluice-flow: (\S+)\r$/im.exec(done.stdout)?.[1];
    t.match(await sluice.waitForFlow((f) => f.id === id), {
      reason,
      verdict: 'error',
      agent: AGENTS.shop,
      protocol: 'http',
      dst: { host: host.split(':')[0] },
    });
    t.notOk(
      world.nginx.accessLog.some((e) => e.host === host && e.status === '200'),
      'the server served nothing',
    );
  });
}

/** With this limit of the policy short, until the test has ended. */
async function limited(t: Test, limit: string): Promise<void> {
  const put = async (policy: string): Promise<void> => {
    sluice.writePolicy(policy);
    const { code, stdout, stderr } = await sluice.cli(['policy', 'apply', sluice.policyPath]);
    if (code !== 0) throw new Error(stdout + stderr);
  };
  t.teardown(() => put(worldPolicy(world)));
  await put(worldPolicy(world, { limits: { [limit]: SOON_MS } }));
}

const socketFaults: readonly (readonly [port: number, reason: Reason])[] = [
  [RAW_PORTS.hang, 'tls_handshake_timeout'],
  [RAW_PORTS.reset, 'tls_handshake_reset'],
  [RAW_PORTS.finish, 'tls_handshake_failed'],
  [RAW_PORTS.plain, 'tls_not_offered'],
  [7099, 'connect_refused'],
];

for (const [port, reason] of socketFaults) {
  t.test(`plain socket to port ${port}: RST, and the reason ${reason}`, async (t) => {
    const timesOut = reason === 'tls_handshake_timeout';
    if (timesOut) await limited(t, 'handshake_timeout_ms');
    const done = await sluice.run(AGENTS.shop, tcpClient(FAR.ipv4, port, MARKER, CLIENT_MS));
    t.match(done.stdout, RESET, done.stderr);
    const flow = await sluice.waitForFlow((f) => f.dst.port === port);
    t.match(flow, { reason, verdict: 'error', agent: AGENTS.shop });
    if (timesOut) t.match(flow.detail, `within ${SOON_MS} ms`, 'by policy');
  });
}

t.test('nothing of what the agent said reached the servers without TLS', async (t) => {
  for (const name of ['hang', 'reset', 'finish', 'plain'] as const) {
    const got = await world.raw.received(name);
    t.notOk(got.includes(MARKER), name);
    if (got.length > 0) t.equal(got[0], 22, `${name} was only ever shown a ClientHello`);
  }
});

t.test('an address that does not answer: the connect times out', async (t) => {
  await limited(t, 'connect_timeout_ms');
  const done = await sluice.run(AGENTS.shop, tcpClient(SILENT, RAW_PORTS.echo, MARKER, CLIENT_MS));
  t.match(done.stdout, RESET, done.stderr);
  t.match(await sluice.waitForFlow((f) => f.dst.ip === SILENT), {
    reason: 'connect_timeout',
    verdict: 'error',
    detail: `within ${SOON_MS} ms`,
  });
});

const postgresFaults: readonly (readonly [port: number, reason: Reason])[] = [
  [RAW_PORTS.postgresRefuses, 'tls_not_offered'],
  [RAW_PORTS.postgresUntrusted, 'tls_unknown_ca'],
  [RAW_PORTS.postgresHangs, 'tls_handshake_timeout'],
];

for (const [port, reason] of postgresFaults) {
  t.test(`PostgreSQL on port ${port}: an ErrorResponse of class 08, and the reason ${reason}`, async (t) => {
    if (reason === 'tls_handshake_timeout') await limited(t, 'handshake_timeout_ms');
    const done = await sluice.run(AGENTS.shop, postgresClient(port));
    t.match(done.stdout, new RegExp(`^E FATAL 08\\w{3} .*${reason}`), done.stdout + done.stderr);
    t.match(await sluice.waitForFlow((f) => f.dst.port === port), {
      reason,
      verdict: 'error',
      protocol: 'postgres',
      agent: AGENTS.shop,
    });
  });
}

/**
 * psql does not print the SQLSTATE of a failed connection, so this reads the answer itself: the startup packet
 * of protocol 3.0, then the fields of the ErrorResponse.
 */
function postgresClient(port: number): string[] {
  const script = `
import socket, struct, sys
s = socket.create_connection(("${FAR.ipv4}", ${port}), ${CLIENT_MS / 1000})
body = struct.pack("!i", 196608) + b"user\\0${MARKER}\\0database\\0shop\\0\\0"
s.sendall(struct.pack("!i", len(body) + 4) + body)
got = b""
while chunk := s.recv(4096): got += chunk
fields = {f[:1].decode(): f[1:].decode() for f in got[5:].split(b"\\0") if f}
print(got[:1].decode(), fields.get("S"), fields.get("C"), fields.get("M"), fields.get("D"), fields.get("H"))`;
  return [PYTHON, '-c', script];
}

t.test('psql shows such an error to its user', async (t) => {
  const how = `host=${FAR.ipv4} port=${RAW_PORTS.postgresUntrusted} user=${POSTGRES.user} sslmode=disable`;
  const done = await sluice.run(AGENTS.shop, ['psql', '-X', how, '-c', 'select 1']);
  t.match(done, { code: 2, stderr: /FATAL: .*certificate/i });
});

t.test('what is not HTTP where policy says HTTP, and what says nothing at all, is refused', async (t) => {
  await limited(t, 'detect_timeout_ms');
  const odd = await sluice.run(AGENTS.shop, tcpClient(FAR.ipv4, 80, `${MARKER} is no protocol\r\n\r\n`));
  t.notMatch(odd.stdout, /hello from/);
  const silent = await sluice.run(AGENTS.shop, tcpClient(FAR.ipv4, 80, '', CLIENT_MS));
  t.notMatch(silent.stdout, /TimeoutError/, 'an agent that says nothing is not kept for ever');
  const flows = await sluice.waitForFlows(2, (f) => f.dst.port === 80 && f.dst.host === null);
  for (const flow of flows) {
    t.not(flow.verdict, 'allow');
    t.match(flow.reason, /undetected|protocol_error|no_rule|name_required/);
  }
});

t.test('a host name that policy does not know, or none, is no way in', async (t) => {
  for (const request of [
    `GET /secret/${MARKER} HTTP/1.1\r\nHost: evil.test\r\n\r\n`,
    `GET /secret/${MARKER} HTTP/1.0\r\n\r\n`,
    `GET /secret/${MARKER} HTTP/1.1\r\nHost: shop.test\r\nHost: evil.test\r\n\r\n`,
  ]) {
    const done = await sluice.run(AGENTS.shop, tcpClient(FAR.ipv4, 80, request));
    t.match(done.stdout, /^HTTP\/1\.1 4\d\d /, JSON.stringify(request));
  }
});

t.test('after all of it: no plain text left the host', async () => {
  await capture.assertNoPlaintext([MARKER]);
  await capture.assertAllTls();
});
