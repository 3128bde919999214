/** Sessions of a real handshake, made lighter and resumed. */
import { once } from 'node:events';
import { connect, createServer, type SecureVersion } from 'node:tls';
import t from 'tap';
import { withoutPeerCertificate } from '#src/tls/session-state.ts';
import { makeCertificates, SERVER_NAME } from '#test/support/certificates.ts';

const certificates = await makeCertificates((remove) => t.teardown(remove));

async function serve(maxVersion: SecureVersion): Promise<number> {
  const server = createServer({ ...certificates.valid, maxVersion }, (socket) => {
    socket.on('error', () => undefined);
    socket.end('x');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

interface Outcome {
  readonly reused: boolean;
  readonly authorized: boolean;
  readonly session: Buffer;
}

async function handshake(port: number, session?: Buffer): Promise<Outcome> {
  const socket = connect({
    host: '127.0.0.1',
    port,
    servername: SERVER_NAME,
    ca: certificates.ca,
    ...(session === undefined ? {} : { session }),
  });
  const tickets: Buffer[] = [];
  socket.on('session', (ticket: Buffer) => tickets.push(ticket));
  socket.resume();
  await once(socket, 'end');
  const reused = socket.isSessionReused();
  socket.destroy();
  return { reused, authorized: socket.authorized, session: tickets[0] ?? Buffer.alloc(0) };
}

t.test('a session of TLS 1.3 is resumed without its certificate', async (t) => {
  const port = await serve('TLSv1.3');
  const first = await handshake(port);
  const light = withoutPeerCertificate(first.session);
  t.ok(light.length < first.session.length - 300, 'a certificate is longer than 300 bytes');
  const second = await handshake(port, light);
  t.ok(second.reused);
  t.ok(second.authorized);
  t.same(withoutPeerCertificate(light), light, 'there is none left to take out');
});

t.test('what is not of the known form stays as it is', async (t) => {
  const { session } = await handshake(await serve('TLSv1.3'));
  const name = 22 + 2 + SERVER_NAME.length;
  const cases: Readonly<Record<string, Buffer>> = {
    empty: Buffer.alloc(0),
    'another prefix': Buffer.concat([Buffer.from('x'), session]),
    'only the prefix': session.subarray(0, 22),
    'a name longer than all': Buffer.concat([
      session.subarray(0, 22),
      Buffer.of(0xff, 0xff),
      session.subarray(24),
    ]),
    'bytes behind it': Buffer.concat([session, Buffer.of(0)]),
    'no sequence': Buffer.concat([session.subarray(0, name), Buffer.of(0x31), session.subarray(name + 1)]),
  };
  for (const [what, bytes] of Object.entries(cases)) t.equal(withoutPeerCertificate(bytes), bytes, what);
  for (let length = 0; length < session.length; length += 1) {
    const cut = session.subarray(0, length);
    if (withoutPeerCertificate(cut) !== cut) t.fail(`cut at ${length}`);
  }
});
