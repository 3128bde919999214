import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { type AddressInfo, connect, createServer, Socket } from 'node:net';
import { connect as connectTls, createSecureContext, TLSSocket } from 'node:tls';
import t from 'tap';
import { resetSocket, resetTls } from '#src/proxy/reset.ts';
import { fdOf, tcpFdOf } from '#src/proxy/socket-fd.ts';
import { makeCertificates, SERVER_NAME, tlsBy } from '#test/support/certificates.ts';
import { linkTarget } from '#test/support/residue.ts';
import {
  destination,
  endOf,
  ignore,
  plainServer,
  policy,
  readBytes,
  rule,
  TestProxy,
  tlsServer,
} from './harness.ts';

const certificates = await makeCertificates((remove) => t.teardown(remove));
const wrapped = policy([destination({ tls: tlsBy(certificates), protocol: 'tls' })], [rule()]);

t.test('the peer of a TCP socket sees a reset', async (t) => {
  const ends: Promise<string>[] = [];
  const server = await plainServer(t.teardown, (s) => ends.push(endOf(s)));
  const socket = connect({ port: server.port, host: '127.0.0.1' });
  socket.on('error', ignore);
  await once(socket, 'connect');
  socket.write('x');
  while (server.received().length === 0) await new Promise(setImmediate);
  resetSocket(socket);
  resetSocket(socket);
  t.equal(await endOf(socket), 'closed');
  t.same(await Promise.all(ends), ['ECONNRESET']);
});

t.test('the peer of a TLS socket sees a reset, of its connection and of one lent to it', async (t) => {
  const ends: Promise<string>[] = [];
  const port = await tlsServer(t.teardown, certificates.valid, (s) => {
    ends.push(endOf(s));
    s.write('x');
  });
  const options = { ca: certificates.ca, servername: SERVER_NAME };
  const own = connectTls({ ...options, port, host: '127.0.0.1' });
  own.on('error', ignore);
  await once(own, 'data');
  resetTls(own);
  t.equal(await endOf(own), 'closed');

  const raw = connect({ port, host: '127.0.0.1' });
  raw.on('error', ignore);
  await once(raw, 'connect');
  const lent = connectTls({ ...options, socket: raw });
  lent.on('error', ignore);
  await once(lent, 'data');
  resetSocket(raw, lent);
  t.equal(await endOf(lent), 'closed', 'its close closes the TLS socket');
  t.same(await Promise.all(ends), ['ECONNRESET', 'ECONNRESET']);
});

t.test('bytes before a FIN that is still waiting are not lost, nor is the descriptor', async (t) => {
  const server = await plainServer(t.teardown, (s) => {
    s.pause();
    resume = () => s.resume();
  });
  let resume = ignore;
  const socket = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', ignore);
  await once(socket, 'connect');
  const size = 20_000_000;
  socket.end(Buffer.alloc(size));
  await new Promise(setImmediate);
  resetSocket(socket);
  t.equal(socket.destroyed, false);
  while (resume === ignore) await new Promise(setImmediate);
  resume();
  await endOf(socket);
  t.equal(socket.writableFinished, true, 'all was handed to the kernel before');
});

t.test('a FIN that is asked for and has not left keeps no descriptor', async (t) => {
  const server = await plainServer(t.teardown, (s) => s.pause());
  const port = await tlsServer(t.teardown, certificates.valid, ignore);
  const options = { ca: certificates.ca, servername: SERVER_NAME };
  const socket = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true });
  const raw = connect({ port, host: '127.0.0.1' });
  await Promise.all([once(socket, 'connect'), once(raw, 'connect')]);
  const lent = connectTls({ ...options, socket: raw });
  const own = connectTls({ ...options, port, host: '127.0.0.1' });
  await Promise.all([once(lent, 'secureConnect'), once(own, 'secureConnect')]);
  const destroyed = new Socket().destroy();
  const kinds: readonly [Socket, number | null, () => void][] = [
    [socket, fdOf(socket), () => resetSocket(socket, destroyed)],
    [lent, fdOf(raw), () => resetSocket(raw, destroyed)],
    [own, tcpFdOf(own), () => resetTls(own)],
  ];
  for (const [ended, fd, reset] of kinds) {
    const socketOf = (number: number | string | null): string | null => linkTarget(`/proc/self/fd/${number}`);
    const itself = socketOf(fd);
    t.match(itself, /^socket:/);
    ended.on('error', ignore);
    ended.end();
    // Asked for, and not done before the next turn.
    await new Promise<void>((resolve) => process.nextTick(resolve));
    reset();
    await endOf(ended === lent ? raw : ended);
    t.notOk(readdirSync('/proc/self/fd').some((number) => socketOf(number) === itself));
  }
});

t.test('a socket that is still connecting just ends', async (t) => {
  const socket = connect({ port: 9, host: '192.0.2.1' });
  socket.on('error', ignore);
  resetSocket(socket);
  const secure = connectTls({ port: 9, host: '192.0.2.1' });
  secure.on('error', ignore);
  resetTls(secure);
  t.same(await Promise.all([endOf(socket), endOf(secure)]), ['closed', 'closed']);
});

t.test('a reset of the agent reaches a TLS server as a reset', async (t) => {
  const ends: Promise<string>[] = [];
  const port = await tlsServer(t.teardown, certificates.valid, (s) => {
    ends.push(endOf(s));
    s.write('x');
  });
  const proxy = await TestProxy.start(t.teardown, wrapped);
  const agent = await proxy.agent({ port });
  await readBytes(agent, 1);
  agent.resetAndDestroy();
  t.same(await Promise.all(ends), ['ECONNRESET']);
  t.match(await proxy.report(), { reason: 'agent_reset' });
});

t.test('a reset is passed on to an agent that has ended its side, whose close_notify meets it', async (t) => {
  const secureContext = createSecureContext(certificates.valid);
  const server = createServer((socket) => {
    socket.on('error', ignore);
    const secured = new TLSSocket(socket, { isServer: true, secureContext });
    secured.on('error', ignore);
    // A TLSSocket cannot be reset, but the plain socket it was put around can.
    secured.once('data', () => socket.resetAndDestroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const proxy = await TestProxy.start(t.teardown, wrapped);
  const agent = await proxy.agent({ port: (server.address() as AddressInfo).port });
  agent.end('x');
  t.equal(await endOf(agent), 'ECONNRESET');
  t.match(await proxy.report(), { reason: 'server_reset', tls: { close_notify: null } });
});
