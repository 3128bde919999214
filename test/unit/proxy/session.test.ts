import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import type { CompiledMask } from '#src/policy/types.ts';
import { makeCertificates, SERVER_NAME, tlsBy } from '#test/support/certificates.ts';
import { freePort } from '#test/support/listening.ts';
import {
  destination,
  endOf,
  ignore,
  plainServer,
  policy,
  readAll,
  readBytes,
  rule,
  TestProxy,
  tlsServer,
} from './harness.ts';

const certificates = await makeCertificates((remove) => t.teardown(remove));
const tls = tlsBy(certificates);
const web = policy([destination({ tls, protocol: 'http' })], [rule()]);
const wrapped = policy([destination({ tls, protocol: 'tls' })], [rule()]);
const GET = 'GET / HTTP/1.1\r\nHost: server.test\r\n\r\n';
/** Closing without lingering sends RST. */
const SEND_AND_RESET = `
import socket, struct, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)
s.sendall(sys.argv[2].encode())
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
s.close()`;
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi';

t.test('an HTTP request in plain text reaches the server as TLS, and its answer comes back', async (t) => {
  let seen = '';
  const port = await tlsServer(
    t.teardown,
    { ...certificates.valid, ALPNProtocols: ['h2', 'http/1.1'] },
    (s) => {
      s.on('data', (chunk: Buffer) => {
        seen += chunk.toString();
        s.end(OK);
      });
    },
  );
  const proxy = await TestProxy.start(t.teardown, web);
  const agent = await proxy.agent({ port });
  agent.end(GET);
  t.equal((await readAll(agent)).toString(), OK);
  t.equal(seen, GET, 'unchanged');
  const report = await proxy.report();
  t.match(report, {
    disposition: 'upgraded',
    verdict: 'allow',
    reason: 'ok',
    rule: 'allow-server',
    policy_revision: 'aaaaaaaaaaaa',
    protocol: 'http',
    dst: {
      ip: '127.0.0.1',
      port,
      host: SERVER_NAME,
      host_source: 'policy',
      name: 'server',
      upstream_port: port,
    },
    bytes: { agent_to_server: GET.length, server_to_agent: OK.length },
    tls: { version: 'TLSv1.3', server_name: SERVER_NAME, resumed: false, alpn: 'http/1.1', agent_sni: null },
    worker: 3,
  });
  t.match(report.tls?.peer_sha256, /^[0-9a-f]{64}$/);
  t.equal(report.tls?.group, 'X25519MLKEM768', 'the hybrid group was agreed on');
  t.ok(report.timings.connect_ms !== null && report.timings.tls_ms !== null);
});

t.test('a flow in which a mask holds that cannot be kept is refused', async (t) => {
  const mask: CompiledMask = {
    name: 'cards',
    agents: [],
    destinations: ['server'],
    direction: 'responses',
    detectors: ['card'],
    columns: [],
    types: [],
    action: { kind: 'redact' },
    strict: false,
    effect: 'mask',
  };
  const port = await tlsServer(t.teardown, certificates.valid, (s) => s.on('data', () => s.end(OK)));
  const masked = policy([destination({ tls, protocol: 'tls' })], [rule()], { masks: [mask] });
  const proxy = await TestProxy.start(t.teardown, masked);
  const agent = await proxy.agent({ port });
  agent.end('hello');
  t.match(await proxy.report(), { verdict: 'deny', rule: 'cards', reason: 'policy_denied' });
});

t.test('the name to verify comes from Host when policy gives none', async (t) => {
  const port = await tlsServer(t.teardown, certificates.valid, (s) => s.on('data', () => s.end(OK)));
  const byHost = destination({ protocol: 'http', hosts: ['*.wild.test'], tls: { ...tls, serverName: null } });
  const proxy = await TestProxy.start(t.teardown, policy([byHost], [rule()]));
  const agent = await proxy.agent({ port });
  agent.end('GET / HTTP/1.1\r\nHost: a.wild.test\r\n\r\n');
  t.equal((await readAll(agent)).toString(), OK);
  t.match(await proxy.report(), { reason: 'ok', dst: { host: 'a.wild.test', host_source: 'http-host' } });
});

t.test('an address as name is verified by the addresses in the certificate', async (t) => {
  const port = await tlsServer(t.teardown, certificates.valid, (s) => s.on('data', () => s.end(OK)));
  const wrong = await tlsServer(t.teardown, certificates.wrongName, ignore);
  const byIp = destination({ protocol: 'http', tls: { ...tls, serverName: '127.0.0.1' } });
  const proxy = await TestProxy.start(t.teardown, policy([byIp], [rule()]));
  const agent = await proxy.agent({ port });
  agent.end(GET);
  t.equal((await readAll(agent)).toString(), OK);
  t.match(await proxy.report(), { reason: 'ok', dst: { host: '127.0.0.1' } });
  const other = await proxy.agent({ port: wrong });
  other.end(GET);
  await readAll(other);
  t.match(await proxy.report(), { reason: 'tls_name_mismatch' });
});

t.test('policy maps the port', async (t) => {
  const port = await tlsServer(t.teardown, certificates.valid, (s) => s.on('data', () => s.end(OK)));
  const mapped = destination({ protocol: 'http', tls, portMap: { 80: port } });
  const proxy = await TestProxy.start(t.teardown, policy([mapped], [rule()]));
  const agent = await proxy.agent({ ip: '0.0.0.0', port: 80 });
  agent.end(GET);
  t.equal((await readAll(agent)).toString(), OK, 'the unspecified address is this host');
  t.match(await proxy.report(), { dst: { ip: '0.0.0.0', port: 80, upstream_port: port } });
});

t.test('a server that does not speak TLS gets not one byte of the agent', async (t) => {
  for (const [kind, answer] of [
    ['HTTP', 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'],
    ['SMTP', '220 ready\r\n'],
  ] as const) {
    const server = await plainServer(t.teardown, (s) => s.once('data', () => s.write(answer)));
    const proxy = await TestProxy.start(t.teardown, web);
    const agent = await proxy.agent({ port: server.port });
    agent.end(`${GET}secret-of-the-agent`);
    const text = (await readAll(agent)).toString();
    t.match(text, /^HTTP\/1\.1 502 /, kind);
    t.match(text, /\r\nSluice-Reason: tls_not_offered\r\n/);
    t.match(await proxy.report(), {
      reason: 'tls_not_offered',
      verdict: 'error',
      disposition: 'denied',
      tls: null,
    });
    const received = server.received();
    t.equal(received[0], 0x16, 'it got a ClientHello');
    t.notMatch(received.toString('latin1'), /GET|secret/);
  }
});

t.test('each way a certificate can be wrong has its reason', async (t) => {
  const cases = [
    ['expired', certificates.expired, 'tls_certificate_expired'],
    ['not yet valid', certificates.notYetValid, 'tls_certificate_not_yet_valid'],
    ['self-signed', certificates.selfSigned, 'tls_self_signed'],
    ['wrong name', certificates.wrongName, 'tls_name_mismatch'],
    ['unknown CA', certificates.unknownCa, 'tls_unknown_ca'],
  ] as const;
  const proxy = await TestProxy.start(t.teardown, web);
  for (const [name, pair, reason] of cases) {
    let received = 0;
    const port = await tlsServer(t.teardown, pair, (s) =>
      s.on('data', (c: Buffer) => (received += c.length)),
    );
    const agent = await proxy.agent({ port });
    agent.end(GET);
    const text = (await readAll(agent)).toString();
    t.match(text, /^HTTP\/1\.1 502 /, name);
    t.match(text, new RegExp(`\r\nSluice-Reason: ${reason}\r\n`), name);
    t.match(await proxy.report(), { reason, verdict: 'error', disposition: 'denied' }, name);
    t.equal(received, 0, `${name}: nothing of the agent was decrypted there`);
  }
});

t.test('each way a server can fail to answer has its reason', async (t) => {
  const patient = await TestProxy.start(t.teardown, web);
  const quick = { ...web, limits: { ...web.limits, handshakeTimeoutMs: 100 } };
  const hasty = await TestProxy.start(t.teardown, quick);
  const silent = await plainServer(t.teardown, (s) => s.resume());
  const resets = await plainServer(t.teardown, (s) => s.once('data', () => s.resetAndDestroy()));
  const closes = await plainServer(t.teardown, (s) => s.once('data', () => s.end()));
  const alerts = await plainServer(t.teardown, (s) =>
    s.once('data', () => s.end(Buffer.from([21, 3, 3, 0, 2, 2, 112]))),
  );
  const cases = [
    [await freePort(), 'connect_refused'],
    [silent.port, 'tls_handshake_timeout'],
    [resets.port, 'tls_handshake_reset'],
    [closes.port, 'tls_handshake_failed'],
    [alerts.port, 'tls_handshake_failed'],
  ] as const;
  for (const [port, reason] of cases) {
    const proxy = reason === 'tls_handshake_timeout' ? hasty : patient;
    const agent = await proxy.agent({ port });
    agent.end(GET);
    t.match(
      (await readAll(agent)).toString(),
      new RegExp(`^HTTP/1.1 502 [\\s\\S]*Sluice-Reason: ${reason}\r\n`),
    );
    t.match(await proxy.report(), { reason, verdict: 'error' });
  }
});

t.test('a server that wants a client certificate policy does not have', async (t) => {
  const options = { ...certificates.valid, ca: certificates.ca, requestCert: true, rejectUnauthorized: true };
  const port = await tlsServer(t.teardown, options, (s) => s.on('data', () => s.end(OK)));
  const proxy = await TestProxy.start(t.teardown, web);
  const agent = await proxy.agent({ port });
  agent.end(GET);
  t.match((await readAll(agent)).toString(), /^HTTP\/1\.1 502 [\s\S]*tls_client_certificate_required/);
  t.match(await proxy.report(), { reason: 'tls_client_certificate_required', verdict: 'error' });

  const withOne = destination({ protocol: 'http', tls: { ...tls, clientCertificate: certificates.client } });
  await proxy.worker.handle({ type: 'policy', policy: policy([withOne], [rule()]) });
  const other = await proxy.agent({ port });
  other.end(GET);
  t.equal((await readAll(other)).toString(), OK, 'and is content with the one policy names');
});

t.test('the answer arrives while the agent is still uploading', async (t) => {
  const proxy = await TestProxy.start(t.teardown, web);
  const agent = await proxy.agent({ port: await freePort() });
  agent.write('POST / HTTP/1.1\r\nHost: server.test\r\nContent-Length: 8000000\r\n\r\n');
  // Unread bytes at close would make the kernel send RST, which takes the answer back.
  for (let sent = 0; sent < 8_000_000; sent += 100_000) agent.write(Buffer.alloc(100_000));
  const answer = await readAll(agent);
  t.match(answer.toString(), /^HTTP\/1\.1 502 [\s\S]*Sluice-Reason: connect_refused\r\n/);
  agent.end();
  t.equal(await endOf(agent), 'closed', 'without a reset');
  t.match(await proxy.report(), { reason: 'connect_refused' });
});

t.test('a protocol without words of its own gets a RST', async (t) => {
  const proxy = await TestProxy.start(t.teardown, wrapped);
  const agent = await proxy.agent({ port: await freePort() });
  t.equal(await endOf(agent), 'ECONNRESET');
  t.match(await proxy.report(), { reason: 'connect_refused', protocol: 'opaque' });
});

t.test('denials are told in the protocol of the agent', async (t) => {
  const deny = policy(
    [destination({ tls })],
    [rule({ action: 'deny', name: 'no', reason: 'not from here' })],
  );
  const proxy = await TestProxy.start(t.teardown, deny);
  const http = await proxy.agent({ port: 1 });
  http.end(GET);
  t.match(
    (await readAll(http)).toString(),
    /^HTTP\/1\.1 403 [\s\S]*Sluice-Reason: policy_denied\r\n[\s\S]*not from here/,
  );
  t.match(await proxy.report(), {
    verdict: 'deny',
    disposition: 'denied',
    reason: 'policy_denied',
    rule: 'no',
    detail: 'not from here',
    protocol: 'http',
    dst: { host: SERVER_NAME, host_source: 'http-host', name: null, upstream_port: null },
    timings: { connect_ms: null, tls_ms: null },
  });

  const postgres = await proxy.agent({ port: 1 });
  postgres.write(Buffer.from('0000000804d2162f', 'hex'));
  t.equal((await readBytes(postgres, 1)).toString(), 'N', 'encryption is refused');
  postgres.write(startup());
  t.match((await readAll(postgres)).toString('latin1'), /^E.*SFATAL\0.*C28000\0/s);
  postgres.end();
  t.match(await proxy.report(), { reason: 'policy_denied', protocol: 'postgres' });
});

function startup(): Buffer {
  const body = Buffer.from('\0\x03\0\0user\0alice\0database\0shop\0\0', 'latin1');
  const length = Buffer.alloc(4);
  length.writeUInt32BE(4 + body.length);
  return Buffer.concat([length, body]);
}

t.test('an agent that waits for the server to speak is judged as unknown', async (t) => {
  const limits = { ...web.limits, detectTimeoutMs: 20 };
  const proxy = await TestProxy.start(t.teardown, { ...web, limits });
  const agent = await proxy.agent({ port: 1 });
  t.equal(await endOf(agent), 'ECONNRESET');
  t.match(await proxy.report(), { reason: 'undetected', verdict: 'deny', protocol: 'unknown' });
});

t.test('a server that speaks first is wrapped without waiting for the agent', async (t) => {
  const port = await tlsServer(t.teardown, certificates.valid, (s) => {
    s.write('220 hello\r\n');
    s.on('data', (chunk: Buffer) => s.end(chunk));
  });
  const proxy = await TestProxy.start(t.teardown, wrapped);
  const agent = await proxy.agent({ port });
  t.equal((await readBytes(agent, 11)).toString(), '220 hello\r\n');
  agent.end('QUIT\r\n');
  t.equal((await readAll(agent)).toString(), 'QUIT\r\n');
  t.match(await proxy.report(), { reason: 'ok', protocol: 'opaque', disposition: 'upgraded' });
});

t.test('bytes that break the protocol they began', async (t) => {
  const proxy = await TestProxy.start(t.teardown, web);
  const agent = await proxy.agent({ port: 1 });
  agent.end('GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n');
  t.match((await readAll(agent)).toString(), /^HTTP\/1\.1 400 [\s\S]*Sluice-Reason: protocol_error\r\n/);
  t.match(await proxy.report(), { reason: 'protocol_error', verdict: 'deny' });
});

t.test('an agent that vanishes', async (t) => {
  await t.test('while we look at its bytes', async (t) => {
    const proxy = await TestProxy.start(t.teardown, web);
    const agent = await proxy.agent({ port: 1 });
    agent.write('GET / HT');
    await new Promise(setImmediate);
    agent.resetAndDestroy();
    t.match(await proxy.report(), { reason: 'agent_reset', verdict: 'error', disposition: 'denied' });
  });
  await t.test('while we connect', async (t) => {
    const silent = await plainServer(t.teardown, (s) => s.resume());
    const proxy = await TestProxy.start(t.teardown, web);
    const agent = await proxy.agent({ port: silent.port });
    agent.write(GET);
    while (silent.received().length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    agent.resetAndDestroy();
    t.match(await proxy.report(), { reason: 'agent_reset', verdict: 'error' });
    t.equal(proxy.worker.openFlows, 0);
  });
  for (const [kind, compiled] of [
    ['is read first', web],
    ['is passed on unread', policy([destination()], [rule({ action: 'exempt', reason: 'a test' })])],
  ] as const)
    await t.test(`while its connection, of which what it sent ${kind}, waits to be accepted`, async (t) => {
      const server = await plainServer(t.teardown, (s) => s.resume());
      const proxy = await TestProxy.start(t.teardown, compiled);
      proxy.target = { port: server.port };
      // This process does not accept while it waits for the agent's.
      const sent = spawnSync('/usr/bin/python3', ['-c', SEND_AND_RESET, String(proxy.port), GET]);
      t.equal(sent.status, 0, String(sent.stderr));
      t.match(await proxy.report(), { reason: 'agent_reset', verdict: 'error', dst: { port: server.port } });
      t.equal(server.connections, 0, 'the server has not heard of it');
    });
});

t.test('a half-close of either side leaves the other direction open', async (t) => {
  const port = await tlsServer(t.teardown, certificates.valid, (s) => {
    s.once('data', () => {
      s.write('before');
      s.once('end', () => s.end('after your FIN'));
    });
    s.resume();
  });
  const proxy = await TestProxy.start(t.teardown, wrapped);
  const agent = await proxy.agent({ port });
  agent.write('x');
  t.equal((await readBytes(agent, 6)).toString(), 'before');
  agent.end();
  t.equal((await readAll(agent)).toString(), 'after your FIN');

  const first = await tlsServer(t.teardown, certificates.valid, (s) => {
    s.end('I am done');
    s.on('data', (chunk: Buffer) => (late += chunk.toString()));
  });
  let late = '';
  const other = await proxy.agent({ port: first });
  t.equal((await readAll(other)).toString(), 'I am done');
  other.end('but I am not');
  t.match([await proxy.report(), await proxy.report()], [{ reason: 'ok' }, { reason: 'ok' }]);
  t.equal(late, 'but I am not');
});

t.test('a reset of either side resets the other', async (t) => {
  let serverEnd: Promise<string> | null = null;
  const raw = await plainServer(t.teardown, (s) => {
    serverEnd = endOf(s);
    s.write('x');
  });
  const exempt = policy([destination()], [rule({ action: 'exempt', reason: 'a test' })]);
  const proxy = await TestProxy.start(t.teardown, exempt);
  const agent = await proxy.agent({ port: raw.port });
  await readBytes(agent, 1);
  agent.resetAndDestroy();
  t.match(await proxy.report(), { reason: 'agent_reset', verdict: 'allow', disposition: 'exempt' });
  t.equal(await serverEnd, 'ECONNRESET', 'the server sees it');

  const tlsPort = await tlsServer(t.teardown, certificates.valid, (s) => {
    s.write('x');
    s.once('data', () => s.destroy(new Error('broken')));
  });
  await proxy.worker.handle({ type: 'policy', policy: wrapped });
  const breaking = await plainServer(t.teardown, (s) => {
    const through = connect({ port: tlsPort, host: '127.0.0.1' });
    through.on('error', ignore);
    s.pipe(through).pipe(s);
    cut = () => s.resetAndDestroy();
  });
  let cut = ignore;
  const other = await proxy.agent({ port: breaking.port });
  await readBytes(other, 1);
  cut();
  t.equal(await endOf(other), 'ECONNRESET', 'the agent sees it');
  t.match(await proxy.report(), { reason: 'server_reset', verdict: 'allow', disposition: 'upgraded' });
});

t.test('a reader that does not read holds the sender back', async (t) => {
  let sent = 0;
  const chunk = Buffer.alloc(65_536);
  const port = await tlsServer(t.teardown, certificates.valid, (s) => {
    const pour = (): void => {
      do sent += chunk.length;
      while (s.write(chunk) && sent < 200_000_000);
    };
    s.on('drain', pour);
    pour();
  });
  const proxy = await TestProxy.start(t.teardown, wrapped);
  const agent = await proxy.agent({ port });
  await once(agent, 'readable');
  let before = -1;
  // Standing still for several turns in a row means that all buffers on the way are full.
  for (let still = 0; still < 20; before = sent) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    still = sent === before ? still + 1 : 0;
  }
  t.ok(sent < 50_000_000, `the server was stopped after ${sent} bytes`);
  // What is garbage is not held, whenever it is collected.
  collectGarbage();
  const held = process.memoryUsage().external + process.memoryUsage().arrayBuffers;
  t.ok(held < 50_000_000, 'the process holds no more than its bounds');
  agent.destroy();
  await proxy.report();
});

t.test('the second connection resumes the session of the first', async (t) => {
  const port = await tlsServer(t.teardown, certificates.valid, (s) => s.on('data', () => s.end(OK)));
  const proxy = await TestProxy.start(t.teardown, web);
  const seen: { resumed: boolean | undefined; peer: string | null | undefined }[] = [];
  const run = async (): Promise<void> => {
    const agent = await proxy.agent({ port });
    agent.end(GET);
    await readAll(agent);
    const { tls } = await proxy.report();
    seen.push({ resumed: tls?.resumed, peer: tls?.peer_sha256 });
  };
  await run();
  await run();
  t.match(seen, [{ resumed: false }, { resumed: true }]);
  t.equal(seen[1]?.peer, seen[0]?.peer, 'the certificate of the full handshake is still named');
  await proxy.worker.handle({ type: 'policy', policy: { ...web, revision: 'bbbbbbbbbbbb' } });
  await run();
  t.equal(seen[2]?.resumed, false, 'not under another policy');
});

t.test('a new policy holds for new flows, and old flows keep theirs', async (t) => {
  const port = await tlsServer(t.teardown, certificates.valid, (s) => {
    s.write('x');
    s.on('data', (chunk: Buffer) => s.end(chunk));
  });
  const proxy = await TestProxy.start(t.teardown, wrapped);
  const old = await proxy.agent({ port });
  await readBytes(old, 1);
  const denying = policy([destination({ tls })], [rule({ action: 'deny' })], { revision: 'bbbbbbbbbbbb' });
  await proxy.worker.handle({ type: 'policy', policy: denying });
  t.match(proxy.messages.at(-1), { type: 'policy-applied', revision: 'bbbbbbbbbbbb' });
  const young = await proxy.agent({ port });
  young.end(GET);
  t.match((await readAll(young)).toString(), /^HTTP\/1\.1 403 /);
  t.match(await proxy.report(), { policy_revision: 'bbbbbbbbbbbb', reason: 'policy_denied' });
  old.end('still here');
  t.equal((await readAll(old)).toString(), 'still here');
  t.match(await proxy.report(), { policy_revision: 'aaaaaaaaaaaa', reason: 'ok' });
});
