import { once } from 'node:events';
import { Agent, get as request } from 'node:http';
import { connect } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { setImmediate as nextTurn } from 'node:timers/promises';
import t from 'tap';
import { EXPOSITION_TYPE } from '#src/api/exposition.ts';
import {
  type HandedMetrics,
  type MetricsServer,
  parseMetricsAddress,
  serveMetrics,
} from '#src/api/metrics-server.ts';
import { closeFd } from '#src/kernel/descriptors.ts';

function get(url: string, agent?: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = agent === undefined ? {} : { agent };
    request(url, options, (response) => resolve(textOf(response))).on('error', reject);
  });
}

t.test('an address is said in full', async (t) => {
  t.same(parseMetricsAddress('127.0.0.1:9464'), { host: '127.0.0.1', port: 9464 });
  t.same(parseMetricsAddress('[::1]:1'), { host: '::1', port: 1 });
  for (const text of [
    '9464',
    ':9464',
    '127.0.0.1',
    'localhost:9464',
    '::1:9464',
    '[127.0.0.1]:1',
    '127.0.0.1:0',
    '127.0.0.1:65536',
  ])
    t.equal(parseMetricsAddress(text), null, text);
});

t.test('handed over, it refuses nobody: who connects waits for the next', async (t) => {
  const address = { host: '127.0.0.1', port: 0 };
  const serve = (text: string, former?: HandedMetrics): Promise<MetricsServer> =>
    serveMetrics(
      address,
      async () => text,
      (error) => t.fail(String(error)),
      former,
    );
  const first = await serve('first 1\n');
  const url = `http://127.0.0.1:${first.port}/metrics`;
  const lasting = new Agent({ keepAlive: true });
  t.teardown(() => lasting.destroy());
  t.equal(await get(url, lasting), 'first 1\n');
  const handed = await first.handOver();
  t.match(handed, { ...address, fd: Number });
  const waiting = get(url);
  await new Promise((resolve) => setTimeout(resolve, 20));
  const second = await serve('second 2\n', handed);
  t.teardown(() => second.close());
  t.equal(second.port, first.port);
  t.equal(await waiting, 'second 2\n');
});

t.test('handed over, it still answers who has asked, be it kept from running meanwhile', async (t) => {
  const server = await serveMetrics(
    { host: '127.0.0.1', port: 0 },
    async () => 'a 1\n',
    (error) => t.fail(String(error)),
  );
  const socket = connect(server.port, '127.0.0.1');
  const answer = textOf(socket);
  await once(socket, 'connect');
  // Until the server has it as well; then timers come next in the event loop, before sockets.
  await new Promise((resolve) => setTimeout(resolve, 20));
  await nextTurn();
  const handing = server.handOver();
  socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600);
  const { fd } = await handing;
  t.match(await answer, /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\na 1\n$/s);
  closeFd(fd);
});

t.test('GET /metrics, and nothing else', async (t) => {
  const errors: unknown[] = [];
  let text = async (): Promise<string> => 'a 1\n';
  const server = await serveMetrics(
    { host: '127.0.0.1', port: 0 },
    () => text(),
    (error) => errors.push(error),
  );
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${server.port}`;
  const answered = await fetch(`${url}/metrics`);
  t.equal(await answered.text(), 'a 1\n');
  t.equal(answered.headers.get('content-type'), EXPOSITION_TYPE);
  t.equal((await fetch(`${url}/`)).status, 404);
  t.equal((await fetch(`${url}/metrics`, { method: 'POST', body: 'x' })).status, 405);
  text = async () => {
    throw new Error('secret');
  };
  const failed = await fetch(`${url}/metrics`);
  t.equal(failed.status, 500);
  t.notMatch(await failed.text(), /secret/);
  t.equal(errors.length, 1);
  await t.rejects(
    serveMetrics({ host: '127.0.0.1', port: server.port }, text, () => undefined),
    { code: 'API' },
  );
});
