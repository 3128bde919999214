/** Keys to cancel with: issued, translated and refused, between workers as within one. */
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import t, { type Test } from 'tap';
import { CancelRelay } from '#src/daemon/cancel-relay.ts';
import { agentId } from '#src/policy/agent-id.ts';
import type { DaemonMessage } from '#src/proxy/ipc.ts';
import { makeCertificates, SERVER_NAME, tlsBy } from '#test/support/certificates.ts';
import { authentication, message, packet, startupMessage, uint32 } from '#test/support/postgres-packets.ts';
import {
  destination,
  endOf,
  policy,
  readAll,
  readBytes,
  rule,
  type Target,
  type Teardown,
  TestProxy,
  type TestServer,
} from './harness.ts';
import { postgresServer } from './postgres-server.ts';

const certificates = await makeCertificates((remove) => t.teardown(remove));
const tls = tlsBy(certificates);
const CANCEL_CODE = 80_877_102;
const PROCESS = 4711;
const READY = message('Z', Buffer.from('I'));
const shop = policy([destination({ protocol: 'postgres', tls })], [rule()], {
  agents: ['tester', 'other'].map((name) => ({ id: agentId(name), name, groups: [], enrolments: [] })),
});

interface Server extends TestServer {
  /** What came after TLS and was no start-up. */
  readonly cancels: Buffer[];
}

/** Each session of it has this key. */
async function serverWith(teardown: Teardown, key: Buffer): Promise<Server> {
  const cancels: Buffer[] = [];
  const server = await postgresServer(teardown, certificates.valid, (s) =>
    s.once('data', (first: Buffer) => {
      if (first.readUInt32BE(4) === CANCEL_CODE) {
        cancels.push(first);
        s.end();
      } else {
        s.write(Buffer.concat([authentication(0), message('K', uint32(PROCESS), key), READY]));
      }
    }),
  );
  return Object.assign(server, { cancels });
}

/** What the agent has resolved last, as the forwarder knows it. */
let resolved: string | null = null;

/** Workers with a daemon between them. */
async function workers(teardown: Teardown, count: number, compiled = shop): Promise<TestProxy[]> {
  const proxies: TestProxy[] = [];
  for (let index = 0; index < count; index += 1) proxies.push(await TestProxy.start(teardown, compiled));
  const peers = proxies.map(({ worker }, key) => ({
    key,
    send: (told: DaemonMessage) => setImmediate(() => void worker.handle(told)),
  }));
  const relay = new CancelRelay(() => peers);
  for (const [index, proxy] of proxies.entries()) {
    const peer = peers[index];
    if (peer === undefined) throw new Error('a worker without its end');
    proxy.told = (told) => {
      if (told.type === 'cancel') relay.asked(peer, told);
      else if (told.type === 'cancel-found') relay.answered(peer, told);
      else if (told.type === 'name') peer.send({ ...told, name: resolved });
    };
  }
  return proxies;
}

interface Session {
  readonly agent: Socket;
  readonly process: number;
  readonly key: Buffer;
}

async function open(proxy: TestProxy, target: Target, keyBytes: number): Promise<Session> {
  const agent = await proxy.agent(target);
  agent.write(startupMessage({ user: 'alice' }, keyBytes > 4 ? 2 : 0));
  const told = await readBytes(agent, 9 + 9 + keyBytes + READY.length);
  return { agent, process: told.readUInt32BE(14), key: Buffer.from(told.subarray(18, 18 + keyBytes)) };
}

function request(process: number, key: Uint8Array): Buffer {
  return packet(CANCEL_CODE, uint32(process), key);
}

async function refused(t: Test, proxy: TestProxy, target: Target, bytes: Buffer, name: string) {
  const agent = await proxy.agent(target);
  agent.write(bytes);
  t.equal(await endOf(agent), 'ECONNRESET', name);
  t.match(await proxy.report(), { reason: 'cancel_denied', verdict: 'deny', disposition: 'denied' }, name);
}

t.test('a key is translated, whichever worker has the session', async (t) => {
  for (const keyBytes of [4, 32, 256]) {
    const serverKey = randomBytes(keyBytes);
    const server = await serverWith(t.teardown, serverKey);
    const [one, two, three] = await workers(t.teardown, 3);
    if (one === undefined || two === undefined || three === undefined) throw new Error('no workers');
    const session = await open(one, server, keyBytes);
    t.equal(session.process, PROCESS, 'programs compare it with pg_backend_pid()');
    t.notSame(session.key, serverKey);
    for (const [name, proxy] of Object.entries({ one, two, three })) {
      const agent = await proxy.agent(server);
      agent.end(request(session.process, session.key));
      t.equal((await readAll(agent)).length, 0);
      t.match(await proxy.report(), { reason: 'ok', verdict: 'allow', disposition: 'upgraded' });
      t.same(server.cancels.splice(0), [request(PROCESS, serverKey)], `${name}, ${keyBytes} bytes`);
    }
  }
});

t.test('whoever has no such session there is refused, and the server hears nothing', async (t) => {
  const serverKey = randomBytes(4);
  const server = await serverWith(t.teardown, serverKey);
  const elsewhere = await serverWith(t.teardown, serverKey);
  const proxies = await workers(t.teardown, 2);
  const [one] = proxies;
  if (one === undefined) throw new Error('no workers');
  const session = await open(one, server, 4);
  const own = request(session.process, session.key);
  const before = server.connections;
  for (const proxy of proxies) {
    await refused(t, proxy, server, request(PROCESS, randomBytes(4)), 'a guess');
    await refused(t, proxy, server, request(PROCESS, serverKey), "the server's own key");
    await refused(t, proxy, server, request(PROCESS + 1, session.key), 'another process');
    await refused(t, proxy, server, request(PROCESS, Buffer.alloc(256)), 'a key of another length');
    await refused(t, proxy, { ...server, agent: 'other' }, own, 'another agent');
    await refused(t, proxy, elsewhere, own, 'another port');
    await refused(t, proxy, { ip: '127.0.0.2', port: server.port }, own, 'another address');
  }
  t.equal(server.connections, before);
  t.equal(elsewhere.connections, 0);
  session.agent.resetAndDestroy();
  await one.report();
  for (const proxy of proxies) await refused(t, proxy, server, own, 'a session that has ended');
  t.equal(server.connections, before);
  t.same(server.cancels, []);
});

t.test('two sessions with the same process and key at their servers have each their own', async (t) => {
  const server = await serverWith(t.teardown, Buffer.from('same'));
  const [one] = await workers(t.teardown, 1);
  if (one === undefined) throw new Error('no worker');
  const first = await open(one, server, 4);
  const second = await open(one, server, 4);
  t.notSame(first.key, second.key);
  first.agent.resetAndDestroy();
  await one.report();
  await refused(t, one, server, request(PROCESS, first.key), 'the one that has ended');
  const agent = await one.agent(server);
  agent.end(request(PROCESS, second.key));
  await readAll(agent);
  t.same(server.cancels, [request(PROCESS, Buffer.from('same'))]);
});

t.test(
  'a session by a name that was resolved is cancelled by that name, however long ago it was',
  async (t) => {
    const server = await serverWith(t.teardown, Buffer.from('real'));
    const hosts = [SERVER_NAME.replace(/^[^.]+/, '*'), 'other.test'];
    const named = destination({ protocol: 'postgres', hosts, tls: { ...tls, serverName: null } });
    const proxies = await workers(t.teardown, 2, { ...shop, destinations: [named] });
    const [one] = proxies;
    if (one === undefined) throw new Error('no workers');
    resolved = SERVER_NAME;
    const session = await open(one, server, 4);
    for (const since of [null, 'other.test', SERVER_NAME]) {
      resolved = since;
      for (const proxy of proxies) {
        const agent = await proxy.agent(server);
        agent.end(request(session.process, session.key));
        await readAll(agent);
        t.match(await proxy.report(), { reason: 'ok', tls: { server_name: SERVER_NAME } });
        t.same(server.cancels.splice(0), [request(PROCESS, Buffer.from('real'))], String(since));
      }
    }
    await refused(t, one, server, request(PROCESS, randomBytes(4)), 'a guess');
    const before = server.connections;
    await one.worker.handle({
      type: 'policy',
      policy: {
        ...shop,
        destinations: [destination({ protocol: 'postgres', tls: { ...tls, serverName: 'moved.test' } })],
      },
    });
    await refused(t, one, server, request(PROCESS, session.key), 'policy means another server by now');
    t.equal(server.connections, before);
    session.agent.resetAndDestroy();
    await one.report();
  },
);

t.test('a retired worker answers for its sessions', async (t) => {
  const server = await serverWith(t.teardown, Buffer.from('real'));
  const [old, next] = await workers(t.teardown, 2);
  if (old === undefined || next === undefined) throw new Error('no workers');
  const session = await open(old, server, 4);
  const retired = old.worker.handle({ type: 'retire', graceMs: 60_000, outlive: false, daemonStays: false });
  await until(() => old.messages.some(({ type }) => type === 'retired'));
  await old.worker.handle({ type: 'adopted' });
  await retired;
  const agent = await next.agent(server);
  agent.end(request(PROCESS, session.key));
  await readAll(agent);
  t.same(server.cancels, [request(PROCESS, Buffer.from('real'))]);
  session.agent.destroy();
});

t.test('nothing may follow a cancel request', async (t) => {
  const cancels: Buffer[] = [];
  let connected: Socket | null = null;
  const server = await postgresServer(t.teardown, certificates.valid, (s) =>
    s.on('data', (bytes: Buffer) => {
      if (bytes.readUInt32BE(4) === CANCEL_CODE) {
        connected = s;
        cancels.push(bytes);
      } else if (connected === s) cancels.push(bytes);
      else s.write(Buffer.concat([authentication(0), message('K', uint32(1), uint32(2)), READY]));
    }),
  );
  const [one] = await workers(t.teardown, 1);
  if (one === undefined) throw new Error('no worker');
  const session = await open(one, server, 4);
  const agent = await one.agent(server);
  agent.write(request(1, session.key));
  await until(() => connected !== null);
  agent.write(startupMessage({ user: 'alice' }));
  t.equal(await endOf(agent), 'ECONNRESET');
  t.match(await one.report(), { reason: 'protocol_error' });
  t.same(cancels, [request(1, uint32(2))]);
  session.agent.destroy();
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}
