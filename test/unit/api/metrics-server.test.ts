import t from 'tap';
import { EXPOSITION_TYPE } from '#src/api/exposition.ts';
import { parseMetricsAddress, serveMetrics } from '#src/api/metrics-server.ts';

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
