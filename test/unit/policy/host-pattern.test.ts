import t from 'tap';
import {
  hostSet,
  hostSetHas,
  normaliseSeenName,
  parseHostPattern,
  parseServerName,
} from '#src/policy/host-pattern.ts';

function pattern(text: string): string {
  const result = parseHostPattern(text);
  return result.ok ? result.host : `${result.message}; ${result.hint}`;
}

t.test('patterns are brought to one form', (t) => {
  t.equal(pattern('API.Example.ORG.'), 'api.example.org');
  t.equal(pattern('*.Example.org'), '*.example.org');
  t.equal(pattern('localhost'), 'localhost');
  t.equal(pattern('my_db.internal'), 'my_db.internal');
  t.end();
});

t.test('what is no host name says what to write', (t) => {
  t.match(pattern('*'), /leave `hosts` out/);
  t.match(pattern('a.*.org'), /first label/);
  t.match(pattern('*.*.org'), /first label/);
  t.match(pattern('a*.org'), /first label/);
  t.match(pattern('10.0.0.1'), /`cidrs`/);
  t.match(pattern('[::1]'), /`cidrs`/);
  t.match(pattern('https://example.org/'), /without scheme/);
  t.match(pattern('example.org:443'), /`ports`/);
  t.match(pattern('bücher.example'), /xn--bcher-kva\.example/);
  for (const bad of ['', '.', '..', 'a..b', '-a.org', 'a b', 'a\nb', `${'a'.repeat(64)}.org`, '*.']) {
    t.match(pattern(bad), /is not a host name/, JSON.stringify(bad));
  }
  t.end();
});

t.test('server names', (t) => {
  t.strictSame(parseServerName('DB.example.org.'), { ok: true, host: 'db.example.org' });
  t.strictSame(parseServerName('::FFFF:10.0.0.1'), { ok: true, host: '10.0.0.1' });
  t.match(parseServerName('*.example.org'), { ok: false, hint: /without a star/ });
  t.match(parseServerName('a b'), { ok: false });
  t.end();
});

t.test('a star stands for exactly one label', (t) => {
  const set = hostSet(['*.example.org', 'literal.test']);
  t.equal(hostSetHas(set, 'a.example.org'), true);
  t.equal(hostSetHas(set, 'example.org'), false);
  t.equal(hostSetHas(set, '.example.org'), false);
  t.equal(hostSetHas(set, 'a.b.example.org'), false);
  t.equal(hostSetHas(set, 'aexample.org'), false);
  t.equal(hostSetHas(set, 'literal.test'), true);
  t.equal(hostSetHas(set, 'x.literal.test'), false);
  t.equal(hostSetHas(hostSet([]), 'literal.test'), false);
  t.end();
});

t.test('names agents give', (t) => {
  t.equal(normaliseSeenName('A.Example.org.'), 'a.example.org');
  t.equal(normaliseSeenName('[2001:DB8::0:7]'), '2001:db8::7');
  t.equal(normaliseSeenName('10.0.0.1'), '10.0.0.1');
  for (const bad of [null, '', 'a b', 'a..b', 'a\0b', '127.1', '[::1', 'a.org..'])
    t.equal(normaliseSeenName(bad), null, String(bad));
  t.end();
});
