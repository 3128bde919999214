import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ApiClient } from '#src/api/client.ts';
import { ANY_FLOW } from '#src/api/flow-filter.ts';
import { patience } from '#test/support/patience.ts';
import { temporaryDirectory } from './temporary.ts';

/** A server that answers every connection with the same bytes, or as `answer` says. */
async function serveBytes(t: Test, answer: string | ((socket: Socket) => void)): Promise<string> {
  const path = join(temporaryDirectory(t), 's');
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => {
      if (typeof answer === 'string') socket.end(answer);
      else answer(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return path;
}

t.test('no daemon: says so and how to start it', async (t) => {
  const path = join(temporaryDirectory(t), 'api.sock');
  const expected = { code: 'NOT_RUNNING', hint: /sluice daemon --policy FILE.*systemctl start sluice/ };
  await t.rejects(new ApiClient(path).status(), expected);
  await t.rejects(new ApiClient(path).follow(ANY_FLOW).next(), expected);
  await t.rejects(new ApiClient(`${path}/x`).status(), expected);
});

t.test('whatever comes back is an answer or a typed error', async (t) => {
  const answers: [string, { code: string }][] = [
    ['', { code: 'NOT_RUNNING' }],
    ['HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"a"', { code: 'NOT_RUNNING' }],
    ['HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{', { code: 'API' }],
    ['HTTP/1.1 500 No\r\nContent-Length: 1\r\n\r\n{', { code: 'API' }],
    ['SSH-2.0-OpenSSH\r\n', { code: 'API' }],
  ];
  for (const [bytes, expected] of answers) {
    await t.test(JSON.stringify(bytes), async (t) => {
      await t.rejects(new ApiClient(await serveBytes(t, bytes)).status(), expected);
    });
  }
});

t.test('a daemon that says nothing is given up', async (t) => {
  const client = new ApiClient(await serveBytes(t, () => undefined), { timeoutMs: 5, silenceTimeoutMs: 5 });
  await t.rejects(client.status(), { code: 'API', apiCode: 'TIMEOUT' });
  await t.rejects(client.follow(ANY_FLOW).next(), { code: 'API', apiCode: 'TIMEOUT' });
});

t.test('a stream that falls silent, or breaks, is an error', async (t) => {
  const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
  const beat = '15\r\n{"type":"heartbeat"}\n\r\n';
  const client = new ApiClient(await serveBytes(t, (socket) => socket.write(head + beat)), {
    // From the call on: what comes first has to come by then.
    silenceTimeoutMs: 1_000 * patience,
  });
  const silent = client.follow(ANY_FLOW);
  t.same((await silent.next()).value, { type: 'heartbeat' });
  await t.rejects(silent.next(), { code: 'API', apiCode: 'TIMEOUT' });

  await t.test('broken', async (t) => {
    const broken = new ApiClient(await serveBytes(t, head + beat)).follow(ANY_FLOW);
    await t.rejects(
      (async () => {
        for await (const _ of broken);
      })(),
      { code: 'NOT_RUNNING' },
    );
  });
});

t.test('a stream that is aborted ends', async (t) => {
  const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n15\r\n{"type":"heartbeat"}\n\r\n';
  const client = new ApiClient(await serveBytes(t, (socket) => socket.write(head)));
  const abort = new AbortController();
  let count = 0;
  for await (const _ of client.follow(ANY_FLOW, abort.signal)) {
    count += 1;
    abort.abort();
  }
  t.equal(count, 1);
});
