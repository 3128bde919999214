import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { type ConnectionOptions, connect as connectTls, createSecureContext, TLSSocket } from 'node:tls';
import t, { type Test } from 'tap';
import { watchCloseNotify } from '#src/proxy/close-notify.ts';
import { Landing } from '#src/proxy/landing.ts';
import { makeCertificates, SERVER_NAME } from '#test/support/certificates.ts';
import { destination, ignore, policy, readAll, rule, TestProxy } from './harness.ts';

const certificates = await makeCertificates((remove) => t.teardown(remove));
const ROOM_BYTES = 65_536;

type Ending = 'close_notify' | 'close_notify in one packet with the rest' | 'FIN';

interface Case {
  readonly version: 'TLSv1.2' | 'TLSv1.3';
  readonly ending: Ending;
  /** TLS put around a socket that is there already, or one that connects by itself. */
  readonly around: boolean;
  /** Nothing is read until everything has come. */
  readonly slow: boolean;
  /** Its bytes go into a buffer of the caller's, as landing.ts has it. */
  readonly landing: boolean;
  readonly bytes: number;
}

const cases = (['TLSv1.2', 'TLSv1.3'] as const).flatMap((version) =>
  (['close_notify', 'close_notify in one packet with the rest', 'FIN'] as const).flatMap((ending) =>
    [false, true].flatMap((around) =>
      [false, true].flatMap((slow) =>
        // Nothing; less than there is room for; just as much; more.
        [0, 100, ROOM_BYTES, 5 * ROOM_BYTES].flatMap((bytes) =>
          // TLS around another socket cannot have it.
          [false, ...(around ? [] : [true])].map(
            (landing): Case => ({ version, ending, around, slow, bytes, landing }),
          ),
        ),
      ),
    ),
  ),
);

function answer(socket: Socket, { version, ending, bytes }: Case): void {
  socket.on('error', ignore);
  const secureContext = createSecureContext({ ...certificates.valid, maxVersion: version });
  const secured = new TLSSocket(socket, { isServer: true, secureContext });
  secured.on('error', ignore);
  secured.once('data', () => {
    const data = Buffer.alloc(bytes);
    if (ending === 'FIN') {
      if (bytes === 0) socket.end();
      else secured.write(data, () => socket.end());
      return;
    }
    if (ending !== 'close_notify') socket.cork();
    secured.end(data);
    setImmediate(() => socket.uncork());
  });
}

async function endOf(t: Test, one: Case): Promise<{ said: boolean | null; bytes: number }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => answer(socket, one));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const to = { host: '127.0.0.1', port, allowHalfOpen: true, highWaterMark: ROOM_BYTES };
  const tls = { servername: SERVER_NAME, ca: certificates.ca, highWaterMark: ROOM_BYTES };
  let bytes = 0;
  const landing = new Landing();
  const onread = one.landing ? { onread: landing.onread } : {};
  const options = { ...tls, ...onread } as ConnectionOptions;
  const socket = one.around ? connect(to).on('error', ignore) : null;
  const secure = connectTls(socket === null ? { ...options, ...to } : { ...options, socket });
  t.teardown(() => secure.destroy());
  secure.on('error', ignore);
  await once(secure, 'secureConnect');
  secure.pause();
  const closeNotify = watchCloseNotify(secure);
  t.equal(closeNotify(), null, 'before the end nothing is said');
  const count = (chunk: Buffer): void => {
    bytes += chunk.length;
  };
  if (one.landing) landing.deliverTo(count);
  else secure.on('data', count);
  const ended = once(secure, 'end');
  secure.write('x');
  if (one.slow) {
    secure.pause();
    await setTimeout(30);
  }
  secure.resume();
  await ended;
  return { said: closeNotify(), bytes };
}

t.test('how a server ended is told, whatever came with it and however it is read', async (t) => {
  for (const one of cases) {
    const { said, bytes } = await endOf(t, one);
    t.equal(bytes, one.bytes, JSON.stringify(one));
    t.equal(said, one.ending !== 'FIN', JSON.stringify(one));
  }
});

t.test('a socket without the handles it is told by claims nothing', async (t) => {
  const secure = new TLSSocket(new (await import('node:stream')).Duplex({ read() {} }) as Socket);
  const closeNotify = watchCloseNotify(secure);
  Reflect.set(secure, '_handle', null);
  secure.push(null);
  t.equal(closeNotify(), null);
});

t.test('a FIN without close_notify ends the agent in good order, and is on record', async (t) => {
  const secureContext = createSecureContext(certificates.valid);
  const server = createServer((socket) => {
    socket.on('error', ignore);
    const secured = new TLSSocket(socket, { isServer: true, secureContext });
    secured.on('error', ignore);
    secured.once('data', (asked: Buffer) => {
      if (asked.toString() === 'properly') secured.end('answer');
      else secured.write('answer', () => socket.end());
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const wrapped = destination({
    protocol: 'tls',
    tls: {
      serverName: SERVER_NAME,
      ca: certificates.ca,
      minVersion: 'TLSv1.2',
      negotiation: 'postgres',
      clientCertificate: null,
    },
  });
  const proxy = await TestProxy.start(t.teardown, policy([wrapped], [rule()]));
  for (const [how, said] of [
    ['properly', true],
    ['as many do', false],
  ] as const) {
    const agent = await proxy.agent({ port });
    agent.write(how);
    t.equal((await readAll(agent)).toString(), 'answer', how);
    agent.end();
    t.match(await proxy.report(), { reason: 'ok', verdict: 'allow', tls: { close_notify: said } }, how);
  }
});
