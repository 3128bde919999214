import t from 'tap';
import { parseAuthority, sameAuthority } from '#src/protocols/http1/authority.ts';

t.test('splits host and port', async (t) => {
  t.same(parseAuthority('Example.ORG'), { host: 'example.org', port: null });
  t.same(parseAuthority('example.org.:8080'), { host: 'example.org', port: 8080 });
  t.same(
    parseAuthority('example.org:'),
    { host: 'example.org', port: null },
    'the grammar has an empty port',
  );
  t.same(parseAuthority('192.0.2.1:80'), { host: '192.0.2.1', port: 80 });
  t.same(parseAuthority('[2001:DB8::1]'), { host: '2001:db8::1', port: null });
  t.same(parseAuthority('[::ffff:192.0.2.1]:443'), { host: '192.0.2.1', port: 443 });
});

t.test('refuses what cannot be connected to', async (t) => {
  const bad = [
    '',
    ':80',
    'a b',
    'a,b',
    'user@example.org',
    'a:b:80',
    'a:0',
    'a:65536',
    'a:000080',
    'a:8x',
    'a:-1',
    'a: 80',
    '2001:db8::1',
    '[2001:db8::1',
    '[]',
    '[192.0.2.1]',
    '[example.org]',
    '[fe80::1%25eth0]',
    '[::1]x',
    '[v1.a]',
    'a/b',
    'a?b',
    'a#b',
    'a%2eb',
    '127.1',
    'é',
  ];
  for (const text of bad) t.equal(parseAuthority(text), null, JSON.stringify(text));
});

t.test('compares with the default port filled in', async (t) => {
  t.ok(sameAuthority({ host: 'a', port: null }, { host: 'a', port: 80 }));
  t.notOk(sameAuthority({ host: 'a', port: null }, { host: 'a', port: 443 }));
  t.notOk(sameAuthority({ host: 'a', port: 80 }, { host: 'b', port: 80 }));
});
