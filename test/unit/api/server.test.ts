import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ApiClient } from '#src/api/client.ts';
import { ANY_FLOW } from '#src/api/flow-filter.ts';
import { type ServeOptions, serveApi } from '#src/api/server.ts';
import type { FollowEvent } from '#src/api/types.ts';
import { SluiceError } from '#src/core/errors.ts';
import { FakeBackend, sampleAgent, sampleRecord } from './sample.ts';
import { temporaryDirectory } from './temporary.ts';

async function setUp(t: Test, options: ServeOptions = {}) {
  const backend = new FakeBackend();
  const server = await serveApi(join(temporaryDirectory(t), 'api.sock'), backend, options);
  t.teardown(() => server.close());
  return { backend, server, client: new ApiClient(server.path) };
}

/** Sends bytes as they are and gives the whole answer; the server closes because it is asked to. */
async function raw(path: string, text: string): Promise<string> {
  const socket = connect(path);
  socket.write(text);
  let answer = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    answer += chunk;
  });
  await once(socket, 'close');
  return answer;
}

t.test('every call reaches the backend and comes back', async (t) => {
  const { backend, client } = await setUp(t);
  backend.records = [sampleRecord(1), sampleRecord(2, { verdict: 'deny' }), sampleRecord(3)];
  backend.runAnswer = { cgroupPath: '/cg/x', agentKnown: false };
  t.same(await client.status(), backend.statusAnswer);
  t.same(await client.flows({ ...ANY_FLOW, verdict: 'allow', limit: 1 }), [sampleRecord(3)]);
  t.same(await client.applyPolicy({ path: '/p', text: 'version: 1\n' }), { revision: 'ba9876543210' });
  t.same(backend.applied, [{ path: '/p', text: 'version: 1\n' }]);
  t.same(await client.createRun('billing'), backend.runAnswer);
  backend.agentList = [sampleAgent(), sampleAgent({ pid: 4712 })];
  t.same(await client.agents(1), { agents: [sampleAgent()], total: 2 });
  const request = { target: '4711', agent: 'billing', now: true };
  await t.rejects(client.enrol(request), { code: 'CONFIG', message: /no process 4711/ });
  t.same(backend.enrolled, [request]);
  t.same(backend.runs, ['billing']);
  t.same(await client.releaseRun('/cg/x'), { removed: true });
  t.same(await client.selfTest(), backend.selfTestAnswer);
});

t.test('a refused policy arrives with its problems', async (t) => {
  const { backend, client } = await setUp(t);
  const problems = [{ line: 1, column: 2, path: '', message: 'what is this', hint: 'that' }];
  backend.policyError = Object.assign(new SluiceError('POLICY', '1 problem'), { problems });
  await t.rejects(client.applyPolicy({ path: '/p', text: 'x' }), { code: 'POLICY', problems });
});

t.test('an unexpected error is told to the daemon, not to the caller', async (t) => {
  const seen: unknown[] = [];
  const { backend, client } = await setUp(t, { onError: (error) => seen.push(error) });
  backend.policyError = new TypeError('secret');
  await t.rejects(client.applyPolicy({ path: '/p', text: 'x' }), {
    apiCode: 'INTERNAL',
    message: 'internal error',
  });
  t.same(seen, [backend.policyError]);
});

t.test('bad requests are answered one by one and disturb nobody', async (t) => {
  const { server, client } = await setUp(t);
  const post = (path: string, body: string) =>
    `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
  const cases: [string, RegExp][] = [
    [get('/v2/status'), / 404 .*"NOT_FOUND"/s],
    [get('/v1/run'), / 405 .*"METHOD_NOT_ALLOWED"/s],
    [get('/v1/flows?agnet=x'), / 400 .*agnet/s],
    [get('/v1/flows/follow?limit=x'), / 400 .*limit/s],
    [get('//'), / 40[04] /],
    [post('/v1/run', '{'), / 400 .*"BAD_REQUEST"/s],
    [post('/v1/run', '{"name":""}'), / 400 .*name/s],
    [post('/v1/run/release', '{"cgroupPath":"a/b"}'), / 400 .*absolute/s],
    [post('/v1/run', JSON.stringify({ name: 'x'.repeat(10_000) })), / 413 .*"TOO_LARGE"/s],
    ['not http at all\r\n\r\n', / 400 /],
  ];
  for (const [request, expected] of cases)
    t.match(await raw(server.path, request), expected, request.slice(0, 40));
  t.ok(await client.status());
});

t.test('a call that does not return is given up', async (t) => {
  const { backend, client } = await setUp(t, { callTimeoutMs: 1 });
  backend.status = () => new Promise(() => undefined);
  await t.rejects(client.status(), { code: 'API', apiCode: 'TIMEOUT' });
});

t.test('follow: stored records first, then live ones, each once, only those asked for', async (t) => {
  const { backend, client } = await setUp(t);
  const stored = [sampleRecord(1), sampleRecord(2)];
  backend.flows = async () => {
    // Ends while the store is being read: it is in the answer of the store and comes live as well.
    backend.emit(sampleRecord(2));
    backend.emit(sampleRecord(3));
    backend.emit(sampleRecord(4, { agent: 'other' }));
    return stored;
  };
  const seen: string[] = [];
  for await (const event of client.follow({ ...ANY_FLOW, agent: 'billing', sinceMs: 0 })) {
    if (event.type === 'flow') seen.push(event.flow.id.slice(-1));
    if (seen.length === 3) backend.emit(sampleRecord(5));
    if (seen.length === 4) break;
  }
  t.same(seen, ['1', '2', '3', '5']);
});

t.test('follow: without a time only new records; a client that leaves is forgotten', async (t) => {
  const { backend, client } = await setUp(t);
  backend.records = [sampleRecord(1)];
  const stream = client.follow(ANY_FLOW);
  const first = stream.next();
  await backend.followed();
  backend.emit(sampleRecord(2));
  t.match(await first, { value: { type: 'flow', flow: { id: '0000000000000002' } } });
  await stream.return(undefined);
  while (backend.followers > 0) await new Promise(setImmediate);
  t.equal(backend.followers, 0);
});

t.test('follow: a failing store is an error, not an empty stream', async (t) => {
  const { backend, client } = await setUp(t);
  backend.flows = async () => {
    throw new SluiceError('STORE', 'disk full');
  };
  await t.rejects(client.follow({ ...ANY_FLOW, sinceMs: 0 }).next(), { code: 'STORE', message: 'disk full' });
});

t.test('follow: silence is filled with heartbeats', async (t) => {
  const { client } = await setUp(t, { follow: { heartbeatMs: 1 } });
  for await (const event of client.follow(ANY_FLOW)) {
    t.same(event, { type: 'heartbeat' });
    break;
  }
});

t.test('follow: the end of the daemon is said', async (t) => {
  const { backend, server, client } = await setUp(t);
  const events: FollowEvent[] = [];
  const done = (async () => {
    for await (const event of client.follow(ANY_FLOW)) events.push(event);
  })();
  await backend.followed();
  await server.close();
  await done;
  t.same(events, [{ type: 'end' }]);
  t.notOk(existsSync(server.path), 'the socket is gone');
});

t.test('follow: a slow client is cut and told how many it missed', async (t) => {
  const { backend, server } = await setUp(t, { follow: { maxQueue: 3 } });
  const socket = connect(server.path);
  socket.pause();
  socket.write('GET /v1/flows/follow HTTP/1.1\r\nHost: x\r\n\r\n');
  await backend.followed();
  // Far more than the socket's buffers hold, so that the queue is what is left.
  const big = 'x'.repeat(64 * 1024);
  const sent = 200;
  for (let n = 0; n < sent; n += 1) backend.emit(sampleRecord(n, { detail: big }));
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  socket.resume();
  // Without "Connection: close" the end is the last chunk.
  while (!text.endsWith('0\r\n\r\n')) await once(socket, 'data');
  socket.destroy();
  const missed = Number(/"type":"cut","missed":(\d+)/.exec(text)?.[1]);
  const received = text.split('"type":"flow"').length - 1;
  t.ok(missed > 100, `${missed} missed`);
  t.equal(received + missed, sent, 'none is unaccounted for');
});

t.test('follow: one that was cut and does not read is dropped', async (t) => {
  const { backend, server } = await setUp(t, { follow: { maxQueue: 1, graceMs: 1 } });
  const socket = connect(server.path);
  socket.on('error', () => undefined);
  socket.pause();
  socket.write('GET /v1/flows/follow HTTP/1.1\r\nHost: x\r\n\r\n');
  await backend.followed();
  for (let n = 0; n < 50; n += 1) backend.emit(sampleRecord(n, { detail: 'x'.repeat(64 * 1024) }));
  while (backend.followers > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  t.equal(backend.followers, 0);
  socket.destroy();
});

t.test('follow: so many clients and no more', async (t) => {
  const { backend, client } = await setUp(t);
  const streams = [];
  for (let n = 0; n < 32; n += 1) {
    const stream = client.follow(ANY_FLOW);
    const followed = backend.followed();
    stream.next().catch(() => undefined);
    await followed;
    streams.push(stream);
  }
  await t.rejects(client.follow(ANY_FLOW).next(), { code: 'API', apiCode: 'BUSY' });
  t.ok(await client.status(), 'other calls go on');
});
