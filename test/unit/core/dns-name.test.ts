import t from 'tap';
import { normaliseDnsName, normaliseIp } from '#src/core/dns-name.ts';

t.test('brings a host name to its one spelling', async (t) => {
  t.equal(normaliseDnsName('Example.ORG'), 'example.org');
  t.equal(normaliseDnsName('example.org.'), 'example.org');
  t.equal(normaliseDnsName('localhost'), 'localhost');
  t.equal(
    normaliseDnsName('my_service.internal'),
    'my_service.internal',
    'container networks name services so',
  );
  t.equal(normaliseDnsName('xn--bcher-kva.example'), 'xn--bcher-kva.example');
  t.equal(normaliseDnsName('1.example'), '1.example');
  t.equal(normaliseDnsName(`${'a'.repeat(63)}.org`), `${'a'.repeat(63)}.org`);
  const longest = `${'a.'.repeat(126)}a`;
  t.equal(normaliseDnsName(longest), longest, '253 characters');
});

t.test('refuses what is no host name', async (t) => {
  const bad = [
    '',
    '.',
    '..',
    'a..b',
    '.a',
    'a..',
    '-a',
    'a-',
    'a b',
    'a\0b',
    'a/b',
    'a@b',
    'a:b',
    'é.org',
    '*.org',
  ];
  for (const name of bad) t.equal(normaliseDnsName(name), null, JSON.stringify(name));
  t.equal(normaliseDnsName(`${'a'.repeat(64)}.org`), null, 'label of 64');
  t.equal(normaliseDnsName(`${'a.'.repeat(126)}ab`), null, '254 characters');
});

t.test('takes no other spelling of an IPv4 address for a name', async (t) => {
  for (const name of [
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f000001',
    '0x7f.1',
    '010.0.0.1',
    'a.1',
    '1.2.3.4.5',
    'a.0x',
  ])
    t.equal(normaliseDnsName(name), null, name);
});

t.test('brings an IP address to its one spelling', async (t) => {
  t.equal(normaliseIp('192.0.2.1'), '192.0.2.1');
  t.equal(normaliseIp('2001:DB8:0:0::A'), '2001:db8::a');
  t.equal(normaliseIp('::ffff:192.0.2.1'), '192.0.2.1', 'v4-mapped, dotted');
  t.equal(normaliseIp('::FFFF:c000:201'), '192.0.2.1', 'v4-mapped, hex');
  for (const text of ['', '192.0.2', '192.0.2.01', '[::1]', 'fe80::1%eth0', 'example.org', '::1 ', ':::'])
    t.equal(normaliseIp(text), null, JSON.stringify(text));
});
