import t from 'tap';
import { errorsOf } from '#test/support/policy-text.ts';

const template = (text: string, trustDomain = 'example.org'): string[] =>
  errorsOf(`trust_domain: ${trustDomain}\nidentity: {spiffe_id: "${text}"}`);

t.test('SPIFFE templates', (t) => {
  t.strictSame(template('spiffe://{trust_domain}/host/{host}/agent/{agent}'), []);
  t.strictSame(template('spiffe://example.org/{unit}/u{uid}-x/{exe}'), []);
  t.match(template('spiffe://{trust_domain}/{agnet}'), [
    /unknown placeholder \{agnet\} \| did you mean "agent"\?/,
  ]);
  for (const text of [
    '{agent}',
    'https://example.org/x',
    'spiffe://other.org/x',
    'spiffe://{trust_domain}',
  ]) {
    t.match(template(text), [/does not begin with the trust domain/], text);
  }
  for (const path of ['', 'a//b', 'a/', '..', './x', 'a b', 'a?b', 'ü', '{']) {
    t.match(template(`spiffe://{trust_domain}/${path}`), [/is no path of a SPIFFE ID/], path);
  }
  t.end();
});

t.test('resolvers', (t) => {
  t.strictSame(errorsOf('dns: {resolvers: [127.0.0.53, "2001:db8::53"]}'), []);
  t.strictSame(errorsOf('dns: {resolvers: []}'), [], 'none is a choice');
  t.match(errorsOf('dns: {resolvers: [dns.example.org, 10.0.0.0/8, "10.0.0.1:53"]}').length, 3);
  t.match(errorsOf('dns: {resolvers: [dns.example.org]}'), [
    /^2:19 dns\.resolvers\[0\]: .* not an IP address \| .*without a port/,
  ]);
  t.end();
});

t.test('Unix sockets', (t) => {
  const sockets = (text: string): string[] => errorsOf(`unix_sockets: {${text}}`);
  t.strictSame(sockets('deny: [/run/engine.sock, "/run/user/*/engine.sock"]'), []);
  t.strictSame(sockets('allow: [/run/docker.sock, "/run/user/*/bus"]'), []);
  for (const path of ['engine.sock', '/', '/run//x', '/run/../x', '/run/./x', '/run/x/', '/run/*.sock/x'])
    t.match(sockets(`deny: ["${path}"]`), [/is no path of a socket/], path);
  t.match(sockets('deny: ["/run/*"]'), [/names no socket/]);
  t.match(sockets('allow: [/run/dokcer.sock]'), [
    /not closed by default \| did you mean "\/run\/docker.sock"\?/,
  ]);
  t.match(sockets('allow: []').length, 1, 'an empty list says nothing');
  t.end();
});

t.test('enforcement', (t) => {
  t.strictSame(errorsOf('enforcement: {minimum: lsm}'), []);
  t.match(errorsOf('enforcement: {minimum: caps}').length, 1);
  t.end();
});
