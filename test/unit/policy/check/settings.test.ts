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
