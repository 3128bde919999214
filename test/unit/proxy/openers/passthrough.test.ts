import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import t from 'tap';
import { SSL_REQUEST } from '#src/protocols/postgres/startup.ts';
import { makeCertificates, SERVER_NAME } from '#test/support/certificates.ts';
import { helloMessage, inRecords, sni } from '#test/support/client-hello.ts';
import { startupMessage } from '#test/support/postgres-packets.ts';
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
} from '../harness.ts';
import { postgresServer } from '../postgres-server.ts';

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
  // What was sent may come to be read after the report.
  let end: () => void = ignore;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const server = await plainServer(t.teardown, (s) =>
    s
      .on('data', (chunk: Buffer) => received.push(chunk))
      .on('end', end)
      .on('close', end),
  );
  const hello = inRecords(helloMessage({ extensions: [sni(SERVER_NAME)] }), 60);
  const proxy = await TestProxy.start(t.teardown, {
    ...passing,
    limits: { ...passing.limits, handshakeTimeoutMs: 200 },
  });
  const socket = await proxy.agent({ port: server.port });
  socket.on('error', ignore);
  socket.write(Buffer.concat([hello, Buffer.from('plain text behind it')]));
  t.match(await proxy.report(), { verdict: 'error', disposition: 'denied' });
  await ended;
  t.same(Buffer.concat(received), hello);
});

const database = destination({ protocol: 'postgres', tls });
const passingInside = policy([database], [rule({ passthrough: true })]);

/** An agent that asks for TLS in PostgreSQL's words. @returns the answer, and its socket, which begins TLS if it may */
async function asking(proxy: TestProxy, port: number): Promise<{ answer: string; socket: Socket }> {
  const socket = await proxy.agent({ port });
  socket.write(SSL_REQUEST);
  return { answer: (await readBytes(socket, 1)).toString(), socket };
}

t.test(
  "TLS that is asked for in the words of PostgreSQL passes as well, its certificate the agent's to verify",
  async (t) => {
    const server = await postgresServer(t.teardown, certificates.valid, (s) =>
      s.on('data', (c: Buffer) => s.end(c)),
    );
    const proxy = await TestProxy.start(t.teardown, passingInside);
    const { answer, socket } = await asking(proxy, server.port);
    t.equal(answer, 'S');
    t.equal(server.connections, 0, 'the server hears nothing before it is decided');
    const agent = connectTls({ socket, servername: SERVER_NAME, ca: certificates.ca });
    agent.write('end to end');
    t.equal((await readAll(agent)).toString(), 'end to end');
    agent.end();
    t.match(await proxy.report(), {
      disposition: 'passthrough',
      reason: 'ok',
      protocol: 'tls',
      dst: { host: SERVER_NAME, host_source: 'sni' },
      tls: { agent_sni: SERVER_NAME },
    });
    t.same(server.received().subarray(0, 8), SSL_REQUEST);
  },
);

t.test('a server that refuses it ends the flow: nothing goes on in plain text', async (t) => {
  for (const answer of ['N', 'E', 'SX']) {
    const server = await postgresServer(t.teardown, certificates.valid, ignore, answer);
    const proxy = await TestProxy.start(t.teardown, passingInside);
    const { socket } = await asking(proxy, server.port);
    const agent = connectTls({ socket, servername: SERVER_NAME, ca: certificates.ca });
    agent.on('error', ignore);
    t.equal(await endOf(agent), 'ERR_SSL_TLSV1_ALERT_ACCESS_DENIED', answer);
    const reason = answer === 'SX' ? 'protocol_error' : 'tls_not_offered';
    t.match(await proxy.report(), { reason, verdict: 'error' });
    t.same(server.received(), SSL_REQUEST);
  }
});

t.test('the name in the ClientHello must fit', async (t) => {
  const server = await postgresServer(t.teardown, certificates.valid, ignore);
  const named = { ...database, hosts: ['another.test'] };
  const proxy = await TestProxy.start(t.teardown, policy([named], [rule({ passthrough: true })]));
  const { socket } = await asking(proxy, server.port);
  const agent = connectTls({ socket, servername: SERVER_NAME, ca: certificates.ca });
  agent.on('error', ignore);
  t.equal(await endOf(agent), 'ERR_SSL_TLSV1_ALERT_ACCESS_DENIED');
  t.match(await proxy.report(), { disposition: 'denied', reason: 'no_rule' });
  t.equal(server.connections, 0);
});

t.test('plain text behind the request goes nowhere', async (t) => {
  const server = await postgresServer(t.teardown, certificates.valid, ignore);
  const proxy = await TestProxy.start(t.teardown, passingInside);
  const { answer, socket } = await asking(proxy, server.port);
  t.equal(answer, 'S');
  socket.write(startupMessage({ user: 'app' }));
  t.equal((await readAll(socket))[0], 21, 'an alert');
  t.match(await proxy.report(), { reason: 'protocol_error' });
  t.equal(server.connections, 0);
});
