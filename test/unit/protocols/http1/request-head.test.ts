import t, { type Test } from 'tap';
import {
  REQUEST_HEAD_MAX_BYTES,
  type RequestHead,
  RequestHeadReader,
} from '#src/protocols/http1/request-head.ts';
import { type Outcome, outcomeOf } from '#test/support/outcome.ts';
import { fuzz, underEverySplit } from '#test/support/readers.ts';
import { splitsOf } from '#test/support/splits.ts';

const text = (value: string): Buffer => Buffer.from(value, 'latin1');

function readAll(chunks: readonly Buffer[]): Outcome<RequestHead | null> {
  const reader = new RequestHeadReader();
  let head: RequestHead | null = null;
  return outcomeOf(
    chunks,
    (chunk) => {
      head = reader.push(chunk);
    },
    () => head,
  );
}

/** The same under every split, or the test fails. */
function readEveryWay(t: Test, request: string): Outcome<RequestHead | null> {
  return underEverySplit(t, readAll, text(request));
}

const GET = 'GET /a?b=c HTTP/1.1\r\nHost: Example.org:8080\r\nAccept: */*\r\n\r\n';

t.test('reads a request as clients send it', async (t) => {
  t.same(readEveryWay(t, GET), {
    value: {
      method: 'GET',
      target: '/a?b=c',
      version: '1.1',
      host: 'example.org',
      hostPort: 8080,
      byteLength: GET.length,
    },
  });
});

t.test('the body is not part of it', async (t) => {
  const head = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n';
  t.match(readEveryWay(t, `${head}\n\0\r\r`), { value: { byteLength: head.length } });
});

t.test('needs more until the empty line is whole', async (t) => {
  for (let length = 0; length < GET.length; length += 1) {
    t.same(readAll([text(GET.slice(0, length))]), { value: null });
  }
});

t.test('overlooks a few empty lines before the request and counts them', async (t) => {
  t.match(readEveryWay(t, `\r\n\r\n${GET}`), { value: { method: 'GET', byteLength: GET.length + 4 } });
  t.match(readEveryWay(t, `\r\n\r\n\r\n${GET}`), { error: 'HTTP request: empty lines instead of a request' });
});

t.test('the server asked for', async (t) => {
  const asked = (request: string): Outcome<RequestHead | null> =>
    readEveryWay(t, request.replaceAll('\n', '\r\n'));
  const host = (host: string | null, hostPort: number | null = null) => ({ value: { host, hostPort } });
  t.match(asked('GET / HTTP/1.1\nhOsT:\t[2001:DB8::1]:81 \t\n\n'), host('2001:db8::1', 81));
  t.match(asked('GET / HTTP/1.0\n\n'), host(null), 'HTTP/1.0 may name none');
  t.match(asked('GET / HTTP/1.0\nHost: a\n\n'), host('a'));
  t.match(asked('OPTIONS * HTTP/1.1\nHost: a\n\n'), host('a'));
  t.match(
    asked('GET http://A.example./x HTTP/1.1\nHost: a.example:80\n\n'),
    host('a.example'),
    'the same, spelled twice',
  );
  t.match(asked('GET HTTP://a:81?x HTTP/1.1\nHost: a:81\n\n'), host('a', 81));
  t.match(asked('GET http://a/ HTTP/1.0\n\n'), host('a'), 'from the target alone in HTTP/1.0');
});

t.test('bytes beyond ASCII pass in targets and values, as servers have it', async (t) => {
  t.match(readEveryWay(t, 'GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\nX: \xe9\r\n\r\n'), {
    value: { target: '/\xc3\xa9' },
  });
});

t.test('refuses requests with more than one reading', async (t) => {
  const start = 'GET / HTTP/1.1\r\n';
  const cases: readonly (readonly [string, string])[] = [
    [`${start}\r\n`, 'no Host field in an HTTP/1.1 request'],
    ['GET http://a/ HTTP/1.1\r\n\r\n', 'no Host field in an HTTP/1.1 request'],
    [`${start}Host: a\r\nHost: a\r\n\r\n`, 'more than one Host field'],
    [`${start}Host: a\r\nhost: b\r\n\r\n`, 'more than one Host field'],
    [`${start}Host:\r\n\r\n`, 'a Host field that names no host'],
    [`${start}Host: a, b\r\n\r\n`, 'a Host field that names no host'],
    [`${start}Host: user@a\r\n\r\n`, 'a Host field that names no host'],
    [`${start}Host: 127.1\r\n\r\n`, 'a Host field that names no host'],
    [
      'GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n',
      'a request target and a Host field that name different servers',
    ],
    [
      'GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n',
      'a request target and a Host field that name different servers',
    ],
    ['GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n', 'a request target that names no host'],
    ['GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n', 'a request target that names no host'],
    ['GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n', 'a request target that is neither a path nor an http URL'],
    ['GET a HTTP/1.1\r\nHost: a\r\n\r\n', 'a request target that is neither a path nor an http URL'],
    ['GET * HTTP/1.1\r\nHost: a\r\n\r\n', 'a request target that is neither a path nor an http URL'],
    ['CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n', 'CONNECT, which asks for a tunnel through a proxy'],
    [`${start}Host: a\r\n X: folded\r\n\r\n`, 'malformed field line'],
    [`${start} Host: a\r\n\r\n`, 'malformed field line'],
    [`${start}Host : a\r\n\r\n`, 'malformed field line'],
    [`${start}Host\r\n\r\n`, 'malformed field line'],
    [`${start}: a\r\n\r\n`, 'malformed field line'],
    [`${start}Host: a\r\nX\u00e9: b\r\n\r\n`, 'malformed field line'],
    [`${start}Host: a\r\nX: \x01\r\n\r\n`, 'a control character in a field value'],
    [`${start}Host: a\x7f\r\n\r\n`, 'a control character in a field value'],
    [`${start}Host: a\0\r\n\r\n`, 'a NUL byte in the request head'],
    ['GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n', 'a NUL byte in the request head'],
    [`${start}Host: a\rb\r\n\r\n`, 'a carriage return that ends no line'],
    [`${start}Host: a\r\r\n\r\n`, 'a carriage return that ends no line'],
    [`${start}Host: a\n\r\n`, 'a line feed without carriage return'],
    ['GET / HTTP/1.1\nHost: a\n\n', 'a line feed without carriage return'],
    ['\nGET / HTTP/1.1\r\n', 'a line feed without carriage return'],
    ['GET  / HTTP/1.1\r\nHost: a\r\n\r\n', 'malformed request line'],
    ['GET / HTTP/1.1 \r\nHost: a\r\n\r\n', 'malformed request line'],
    ['GET /a b HTTP/1.1\r\nHost: a\r\n\r\n', 'malformed request line'],
    ['GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n', 'malformed request line'],
    ['GET /\r\nHost: a\r\n\r\n', 'a version that is not HTTP/1.0 or HTTP/1.1'],
    ['G(T / HTTP/1.1\r\nHost: a\r\n\r\n', 'malformed request line'],
    ['ABCDEFGHIJKLMNOPQRSTU / HTTP/1.1\r\nHost: a\r\n\r\n', 'malformed request line'],
    ['GET / HTTP/2.0\r\nHost: a\r\n\r\n', 'a version that is not HTTP/1.0 or HTTP/1.1'],
    ['GET / http/1.1\r\nHost: a\r\n\r\n', 'a version that is not HTTP/1.0 or HTTP/1.1'],
    [
      `${start}Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`,
      'both Transfer-Encoding and Content-Length',
    ],
  ];
  for (const [request, problem] of cases) {
    t.same(
      readEveryWay(t, request),
      { error: `HTTP request: ${problem}`, fault: 'agent', protocol: 'http' },
      JSON.stringify(request),
    );
  }
});

t.test('has a bound, exact to the byte', async (t) => {
  const start = 'GET / HTTP/1.1\r\nHost: a\r\nX: ';
  const fill = (total: number): string => `${start}${'x'.repeat(total - start.length - 4)}\r\n\r\n`;
  t.match(readAll([text(fill(REQUEST_HEAD_MAX_BYTES))]), { value: { byteLength: REQUEST_HEAD_MAX_BYTES } });
  const error = 'HTTP request: request head is longer than Sluice reads';
  t.match(readAll([text(fill(REQUEST_HEAD_MAX_BYTES + 1))]), { error });
  t.match(
    readAll(splitsOf(text(fill(REQUEST_HEAD_MAX_BYTES + 1)), 0)[1]?.chunks ?? []),
    { error },
    'byte by byte',
  );
});

t.test('a refused request stays refused, a read one stays read', async (t) => {
  const refused = new RequestHeadReader();
  t.throws(() => refused.push(text('\n')), { message: /without carriage return$/ });
  t.throws(() => refused.push(text(GET)), { message: /without carriage return$/ });
  const read = new RequestHeadReader();
  const head = read.push(text(GET));
  t.equal(read.push(text('\0')), head);
});

t.test('fuzz: a value or the typed error, and the same under any split', async (t) => {
  const seeds = [
    text(GET),
    text('GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n'),
    text('POST / HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
    text('\r\nPUT /x HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc'),
  ];
  fuzz(t, { readAll, seeds, randomSeed: 23, rounds: 2_000 });
});
