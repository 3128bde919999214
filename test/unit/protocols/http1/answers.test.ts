import t from 'tap';
import { errorAnswer } from '#src/protocols/http1/answers.ts';

const OPTIONS = {
  status: 502,
  reason: 'tls_unknown_ca',
  detail: 'the certificate of a.example is signed by an unknown authority',
  flowId: '00f1e2d3c4b5a697',
} as const;

t.test('is a whole response that says why and ends the connection', async (t) => {
  const body = 'Sluice: the certificate of a.example is signed by an unknown authority\n';
  t.equal(
    errorAnswer(OPTIONS).toString('latin1'),
    [
      'HTTP/1.1 502 Bad Gateway',
      'Sluice-Reason: tls_unknown_ca',
      'Sluice-Flow: 00f1e2d3c4b5a697',
      'Content-Type: text/plain; charset=utf-8',
      `Content-Length: ${body.length}`,
      'Cache-Control: no-store',
      'Connection: close',
      '',
      body,
    ].join('\r\n'),
  );
});

t.test('the length counts bytes, not characters', async (t) => {
  const [head = '', body = ''] = errorAnswer({ ...OPTIONS, detail: 'é€' })
    .toString('utf8')
    .split('\r\n\r\n');
  t.match(head, `Content-Length: ${Buffer.byteLength(body)}`);
});

t.test('an answer to HEAD has the length and no body', async (t) => {
  const answer = errorAnswer({ ...OPTIONS, method: 'HEAD' }).toString('latin1');
  t.match(answer, /Content-Length: [1-9]/);
  t.ok(answer.endsWith('\r\n\r\n'));
});

t.test('no text can break out of its place', async (t) => {
  const answer = errorAnswer({ ...OPTIONS, flowId: 'a\r\nX: y', detail: 'one\r\ntwo\u001b[31m' }).toString(
    'latin1',
  );
  t.match(answer, '\r\nSluice-Flow: a__X__y\r\n');
  t.ok(answer.endsWith('\r\n\r\nSluice: one two [31m\n'));
});
