import { once } from 'node:events';
import t from 'tap';
import { systemClock } from '#src/core/clock.ts';
import type { Reason } from '#src/flow/record.ts';
import { addon } from '#src/kernel/addon.ts';
import { closeFd } from '#src/kernel/descriptors.ts';
import { landingOf } from '#src/proxy/landing.ts';
import { SocketPool } from '#src/proxy/socket-pool.ts';
import { TlsContexts } from '#src/proxy/tls-context.ts';
import { reachableIp, type SecureOptions, Upstream } from '#src/proxy/upstream.ts';
import { UpstreamError } from '#src/proxy/upstream-error.ts';
import { type ClientHello, ClientHelloReader } from '#src/tls/client-hello.ts';
import { makeCertificates, SERVER_NAME, tlsBy } from '#test/support/certificates.ts';
import { freePort } from '#test/support/listening.ts';
import { destination, plainServer, tlsServer } from './harness.ts';

const X25519MLKEM768 = 0x11ec;
const X25519 = 0x001d;
/** Entering another one takes privileges. */
const OWN_NETNS = -1;

const certificates = await makeCertificates((remove) => t.teardown(remove));
const tls = tlsBy(certificates);

function options(changes: Partial<SecureOptions> = {}): SecureOptions {
  return {
    contexts: new TlsContexts({ systemCa: () => '' }),
    destination: destination({ tls }),
    serverName: SERVER_NAME,
    alpn: [],
    timeoutMs: 60_000,
    ...changes,
  };
}

/** The reason an attempt failed with. */
async function reasonOf(attempt: Promise<unknown>): Promise<Reason | null> {
  try {
    await attempt;
    return null;
  } catch (error) {
    if (error instanceof UpstreamError) return error.reason;
    throw error;
  }
}

async function helloSentBy(
  secure: Partial<SecureOptions>,
  teardown: (end: () => unknown) => void,
): Promise<ClientHello> {
  const reader = new ClientHelloReader();
  let hello: ClientHello | null = null;
  const server = await plainServer(teardown, (s) =>
    s.on('data', (chunk: Buffer) => {
      hello ??= reader.push(chunk);
      if (hello !== null) s.destroy();
    }),
  );
  const upstream = new Upstream(systemClock);
  await upstream.connect('127.0.0.1', server.port, 60_000);
  await upstream.secure(options(secure)).catch(() => undefined);
  if (hello === null) throw new Error('no ClientHello came');
  return hello;
}

t.test(
  'the ClientHello offers the hybrid group first, with key shares of it and of its fallback',
  async (t) => {
    const hello = await helloSentBy({ alpn: ['http/1.1'] }, t.teardown);
    t.same(hello.groups.slice(0, 2), [X25519MLKEM768, X25519]);
    t.same(hello.keyShareGroups, [X25519MLKEM768, X25519]);
    t.equal(hello.serverName, SERVER_NAME);
    t.same(hello.alpn, ['http/1.1']);
    t.same([...hello.versions].sort(), [0x0303, 0x0304]);
  },
);

t.test('a server whose choice is known gets that key share alone; the offer stays the same', async (t) => {
  for (const [group, share] of [
    ['X25519MLKEM768', X25519MLKEM768],
    ['x25519', X25519],
  ] as const) {
    const contexts = new TlsContexts({ systemCa: () => '' });
    // No such session is resumed by anybody: what counts is what is known of the server.
    contexts.resumption.find = () => ({
      session: Buffer.alloc(0),
      proof: { sha256: '', notAfter: 1e15, group },
      expiresAt: 1e15,
      keptAt: 0,
    });
    const hello = await helloSentBy({ contexts }, t.teardown);
    t.same(hello.keyShareGroups, [share], group);
    t.same(hello.groups.slice(0, 2), [X25519MLKEM768, X25519]);
  }
});

t.test(
  'no SNI for an address, no ALPN where the protocol is not known, no version below the least',
  async (t) => {
    const strict = destination({ tls: { ...tls, minVersion: 'TLSv1.3' } });
    const hello = await helloSentBy({ serverName: '127.0.0.1', destination: strict }, t.teardown);
    t.equal(hello.serverName, null);
    t.same(hello.alpn, []);
    t.same(hello.versions, [0x0304]);
  },
);

t.test('a server of TLS 1.2 is reached, unless policy wants 1.3', async (t) => {
  const old = { ...certificates.valid, maxVersion: 'TLSv1.2' } as const;
  const port = await tlsServer(t.teardown, old, (s) => s.resume());
  const upstream = new Upstream(systemClock);
  await upstream.connect('127.0.0.1', port, 60_000);
  await upstream.secure(options());
  t.match(upstream.tls, { version: 'TLSv1.2', cipher: /^TLS_ECDHE_/, group: /^(x25519|secp256r1)$/ });
  upstream.reset();

  const strict = new Upstream(systemClock);
  await strict.connect('127.0.0.1', port, 60_000);
  const secure = strict.secure(
    options({ destination: destination({ tls: { ...tls, minVersion: 'TLSv1.3' } }) }),
  );
  t.equal(await reasonOf(secure), 'tls_handshake_failed');
});

t.test('a session is resumed in either version, and what it proved is said again', async (t) => {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const port = await tlsServer(t.teardown, { ...certificates.valid, maxVersion }, (s) => s.end('x'));
    const contexts = new TlsContexts({ systemCa: () => '' });
    const seen: (boolean | string | null | undefined)[] = [];
    for (let flow = 0; flow < 2; flow += 1) {
      const upstream = new Upstream(systemClock);
      const socket = await upstream.connectSecure('127.0.0.1', port, 60_000, options({ contexts }));
      socket.resume();
      await once(socket, 'end');
      seen.push(upstream.tls?.resumed, upstream.tls?.peer_sha256);
      upstream.reset();
    }
    t.match(seen, [false, /^[0-9a-f]{64}$/, true, seen[1]], maxVersion);
  }
});

t.test('sessions are shared neither between destinations nor between names', async (t) => {
  const port = await tlsServer(t.teardown, certificates.valid, (s) => s.end('x'));
  const contexts = new TlsContexts({ systemCa: () => '' });
  const resumed: boolean[] = [];
  const cases = [
    {},
    {},
    { destination: destination({ tls, name: 'other' }) },
    { serverName: 'a.wild.test' },
    { serverName: 'b.wild.test' },
  ];
  for (const changes of cases) {
    const upstream = new Upstream(systemClock);
    await upstream.connect('127.0.0.1', port, 60_000);
    const socket = await upstream.secure(options({ contexts, ...changes }));
    socket.resume();
    await once(socket, 'end');
    resumed.push(upstream.tls?.resumed ?? false);
    upstream.reset();
  }
  t.same(resumed, [false, true, false, false, false]);
});

t.test('the environment has no say in whom to trust', async (t) => {
  const port = await tlsServer(t.teardown, certificates.unknownCa, (s) => s.resume());
  t.teardown(() => {
    delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
  });
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
  const upstream = new Upstream(systemClock);
  await upstream.connect('127.0.0.1', port, 60_000);
  await t.rejects(upstream.secure(options()), {
    name: 'UpstreamError',
    reason: 'tls_unknown_ca',
  });
});

t.test('connecting ends by refusal or by reset()', async (t) => {
  const refused = new Upstream(systemClock).connect('127.0.0.1', await freePort(), 60_000);
  t.equal(await reasonOf(refused), 'connect_refused');

  // 192.0.2.0/24 is reserved for documentation (RFC 5737): nothing answers there.
  const hanging = new Upstream(systemClock);
  const pending = hanging.connect('192.0.2.1', 9, 60_000);
  hanging.reset();
  await t.rejects(pending, { name: 'UpstreamError' });

  const silent = await plainServer(t.teardown, (s) => s.resume());
  const shaking = new Upstream(systemClock);
  await shaking.connect('127.0.0.1', silent.port, 60_000);
  const secure = shaking.secure(options());
  shaking.reset();
  await t.rejects(secure, { name: 'UpstreamError' });
});

t.test('settings OpenSSL cannot use are our fault, and do not show the key', async (t) => {
  const silent = await plainServer(t.teardown, (s) => s.resume());
  const upstream = new Upstream(systemClock);
  await upstream.connect('127.0.0.1', silent.port, 60_000);
  const broken = destination({ tls: { ...tls, clientCertificate: { cert: 'no cert', key: 'SECRET' } } });
  const failure: unknown = await Promise.resolve()
    .then(() => upstream.secure(options({ destination: broken })))
    .catch((error: unknown) => error);
  t.match(failure, { name: 'UpstreamError', reason: 'internal_error' });
  t.notMatch(String(failure), /SECRET/);
  upstream.reset();
});

t.test('the unspecified address is this host', async (t) => {
  t.equal(reachableIp('0.0.0.0'), '127.0.0.1');
  t.equal(reachableIp('::'), '::1');
  t.equal(reachableIp('192.0.2.1'), '192.0.2.1');
});

t.test('in another network namespace the connection is made by a socket of its pool', async (t) => {
  const plain = await plainServer(t.teardown, (s) => s.end('hello'));
  const closed: number[] = [];
  const asked: number[] = [];
  const pool = new SocketPool({
    ask: (_family, count) => {
      asked.push(count);
      // The daemon's answer comes later.
      setImmediate(() => pool.give(4, addon().socketsIn(OWN_NETNS, 4, count)));
    },
    closeFd: (fd) => {
      closed.push(fd);
      closeFd(fd);
    },
  });
  t.teardown(() => pool.close());
  const raw = await new Upstream(systemClock, pool).connect('127.0.0.1', plain.port, 60_000);
  const [answer] = (await once(raw.resume(), 'data')) as [Buffer];
  t.equal(answer.toString(), 'hello');
  t.equal(asked.length, 1);

  const port = await tlsServer(t.teardown, certificates.valid, (s) => s.end('sealed'));
  const secure = await new Upstream(systemClock, pool).connectSecure('127.0.0.1', port, 60_000, options());
  let said = '';
  landingOf(secure)?.deliverTo((bytes) => {
    said += bytes.toString();
  });
  await once(secure.resume(), 'end');
  t.equal(said, 'sealed');

  const refused = new Upstream(systemClock, pool).connect('127.0.0.1', await freePort(), 60_000);
  t.equal(await reasonOf(refused), 'connect_refused');

  const left = new Upstream(systemClock, pool);
  const attempt = left.connect('127.0.0.1', plain.port, 60_000);
  left.reset();
  t.equal(await reasonOf(attempt), 'connect_failed', 'an agent that left while its socket was on its way');
  t.equal(closed.length, 1, 'which is given back');
});
