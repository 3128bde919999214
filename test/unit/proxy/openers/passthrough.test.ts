import { connect as connectTls } from 'node:tls';
import t from 'tap';
import { makeCertificates, SERVER_NAME } from '#test/support/certificates.ts';
import { helloMessage, inRecords, sni } from '#test/support/client-hello.ts';
import {
  destination,
  endOf,
  ignore,
  plainServer,
  policy,
  readAll,
  rule,
  TestProxy,
  tlsServer,
} from '../harness.ts';

const certificates = await makeCertificates((remove) => t.teardown(remove));
const tls = {
  serverName: SERVER_NAME,
  ca: certificates.ca,
  minVersion: 'TLSv1.2',
  negotiation: 'postgres',
  clientCertificate: null,
} as const;
const passing = policy([destination({ tls })], [rule({ passthrough: true })]);
const upgrading = policy([destination({ tls })], [rule()]);

t.test("the agent's own TLS passes when policy says so", async (t) => {
  const port = await tlsServer(t.teardown, certificates.valid, (s) => s.on('data', (c: Buffer) => s.end(c)));
  const proxy = await TestProxy.start(t.teardown, passing);
  const socket = await proxy.agent({ port });
  const agent = connectTls({ socket, servername: SERVER_NAME, ca: certificates.ca });
  agent.write('end to end');
  t.equal((await readAll(agent)).toString(), 'end to end');
  agent.end();
  t.match(await proxy.report(), {
    disposition: 'passthrough',
    reason: 'ok',
    protocol: 'tls',
    dst: { host: SERVER_NAME, host_source: 'sni' },
    tls: { agent_sni: SERVER_NAME, server_name: null, version: null, peer_sha256: null },
  });
});

t.test('so does TLS in which PostgreSQL begins at once, with its ALPN', async (t) => {
  const options = { ...certificates.valid, ALPNProtocols: ['postgresql'] };
  const port = await tlsServer(t.teardown, options, (s) => s.on('data', (c: Buffer) => s.end(c)));
  const server = destination({ protocol: 'postgres', tls });
  const proxy = await TestProxy.start(t.teardown, policy([server], [rule({ passthrough: true })]));
  const socket = await proxy.agent({ port });
  const agent = connectTls({
    socket,
    servername: SERVER_NAME,
    ca: certificates.ca,
    ALPNProtocols: ['postgresql'],
  });
  agent.write('start-up');
  t.equal((await readAll(agent)).toString(), 'start-up');
  t.equal(agent.alpnProtocol, 'postgresql');
  agent.end();
  t.match(await proxy.report(), { disposition: 'passthrough', reason: 'ok', protocol: 'tls' });
});

t.test('and is refused with an alert when it does not', async (t) => {
  const proxy = await TestProxy.start(t.teardown, upgrading);
  const socket = await proxy.agent({ port: 1 });
  const agent = connectTls({ socket, servername: SERVER_NAME, ca: certificates.ca });
  agent.on('error', ignore);
  t.equal(await endOf(agent), 'ERR_SSL_TLSV1_ALERT_ACCESS_DENIED');
  t.match(await proxy.report(), {
    disposition: 'denied',
    verdict: 'deny',
    reason: 'agent_tls_denied',
    protocol: 'tls',
    dst: { host: SERVER_NAME, host_source: 'sni' },
  });
});

t.test(
  'a server that answers a ClientHello in plain text is cut, its answer kept from the agent',
  async (t) => {
    const server = await plainServer(t.teardown, (s) =>
      s.once('data', () => s.write('HTTP/1.1 400 Bad\r\n\r\n')),
    );
    const proxy = await TestProxy.start(t.teardown, passing);
    const socket = await proxy.agent({ port: server.port });
    let received = Buffer.alloc(0);
    const agent = connectTls({ socket, servername: SERVER_NAME, ca: certificates.ca });
    agent.on('error', ignore);
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
    });
    t.match(await proxy.report(), { reason: 'tls_not_offered', verdict: 'error', disposition: 'denied' });
    t.notMatch(received.toString('latin1'), /HTTP/);
  },
);

t.test('what stands behind a ClientHello waits until the server has answered with TLS', async (t) => {
  const received: Buffer[] = [];
  const server = await plainServer(t.teardown, (s) => s.on('data', (chunk: Buffer) => received.push(chunk)));
  const hello = inRecords(helloMessage({ extensions: [sni(SERVER_NAME)] }), 60);
  const proxy = await TestProxy.start(t.teardown, {
    ...passing,
    limits: { ...passing.limits, handshakeTimeoutMs: 200 },
  });
  const socket = await proxy.agent({ port: server.port });
  socket.on('error', ignore);
  socket.write(Buffer.concat([hello, Buffer.from('plain text behind it')]));
  t.match(await proxy.report(), { verdict: 'error', disposition: 'denied' });
  t.same(Buffer.concat(received), hello);
});
