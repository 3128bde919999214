import t from 'tap';
import { addressKey, formatAddress, inRanges, mergeRanges, parseCidr } from '#src/policy/address.ts';

const V4 = '00000000000000000000ffff';

function ranges(text: string): readonly (readonly [string, string])[] {
  const result = parseCidr(text);
  if (!result.ok) throw new Error(result.message);
  return result.ranges;
}

function covers(cidr: string, address: string): boolean {
  return inRanges(mergeRanges(ranges(cidr)), addressKey(address) ?? '');
}

t.test('all spellings of an address have one key', (t) => {
  const same = [
    ['10.0.0.1', '::ffff:10.0.0.1', '::FFFF:a00:1', '0:0:0:0:0:ffff:0a00:0001', '0::ffff:10.0.0.1'],
    ['2001:db8::1', '2001:DB8:0:0:0:0:0:1', '2001:0db8::0001', '2001:db8:0::0:1', '2001:db8::0.0.0.1'],
    ['::', '0:0:0:0:0:0:0:0', '0::0', '::0.0.0.0'],
    ['::1', '0:0:0:0:0:0:0:1'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
  ];
  for (const group of same) {
    t.equal(new Set(group.map(addressKey)).size, 1, group.join(' '));
    t.match(addressKey(group[0] ?? ''), /^[0-9a-f]{32}$/);
  }
  t.equal(addressKey('10.0.0.1'), `${V4}0a000001`);
  t.equal(addressKey('255.255.255.255'), `${V4}ffffffff`);
  t.not(addressKey('::10.0.0.1'), addressKey('10.0.0.1'), 'v4-compatible is not v4-mapped');
  t.end();
});

t.test('what is no address has no key', (t) => {
  for (const text of [
    '',
    'example.org',
    '10.0.0',
    '010.0.0.1',
    '10.0.0.256',
    'fe80::1%eth0',
    '::g',
    '[::1]',
    '1::2::3',
  ]) {
    t.equal(addressKey(text), null, text);
  }
  t.end();
});

t.test('keys are shown as addresses', (t) => {
  for (const text of ['10.0.0.1', '2001:db8::1', '::']) t.equal(formatAddress(addressKey(text) ?? ''), text);
  t.equal(formatAddress(addressKey('::ffff:10.0.0.1') ?? ''), '10.0.0.1');
  t.end();
});

t.test('ranges', (t) => {
  t.strictSame(ranges('10.0.0.0/8'), [[`${V4}0a000000`, `${V4}0affffff`]]);
  t.strictSame(ranges('10.1.2.3'), [[`${V4}0a010203`, `${V4}0a010203`]]);
  t.strictSame(ranges('0.0.0.0/0'), [[`${V4}00000000`, `${V4}ffffffff`]]);
  t.strictSame(ranges('::ffff:10.0.0.0/104'), ranges('10.0.0.0/8'));
  t.strictSame(ranges('2001:db8::/32'), [
    ['20010db8000000000000000000000000', '20010db8ffffffffffffffffffffffff'],
  ]);
  t.strictSame(ranges('::ffff:0.0.0.0/96'), ranges('0.0.0.0/0'));
  t.end();
});

t.test('an IPv6 range does not take in IPv4', (t) => {
  for (const cidr of ['::/0', '::/1', '::/64', '::/80']) {
    t.equal(covers(cidr, '10.0.0.1'), false, cidr);
    t.equal(covers(cidr, '::1'), true, cidr);
    t.equal(covers(cidr, '::fffe:ffff:ffff'), true, cidr);
  }
  t.equal(covers('::/0', 'ffff::1'), true);
  t.equal(covers('::/0', '::1:0:0:0'), true);
  t.equal(covers('0.0.0.0/0', '::1'), false);
  t.end();
});

t.test('bad ranges say what is wrong', (t) => {
  const message = (text: string): string => {
    const result = parseCidr(text);
    return result.ok ? 'ok' : `${result.message}; ${result.hint}`;
  };
  t.match(message('10.0.0.1/8'), /bits set .*10\.0\.0\.0\/8/);
  t.match(message('2001:db8::1/32'), /2001:db8::\/32/);
  t.match(message('10.0.0.0/33'), /prefix length.*0 to 32/);
  t.match(message('::/129'), /0 to 128/);
  for (const text of ['10.0.0.0/', '10.0.0.0/08', '10.0.0.0/-1', '10.0.0.0/8/8'])
    t.match(message(text), /prefix length/, text);
  t.match(message('db.example.org'), /`hosts`/);
  t.match(message('10.0.0.0-10.0.0.9'), /not an IP address/);
  t.end();
});

t.test('merged ranges answer as the unmerged ones do', (t) => {
  let seed = 7;
  const random = (below: number): number => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed % below;
  };
  const key = (value: number): string => addressKey(`10.0.0.${value}`) ?? '';
  for (let round = 0; round < 300; round += 1) {
    const list = Array.from({ length: random(8) }, (): [string, string] => {
      const first = random(256);
      return [key(first), key(first + random(256 - first))];
    });
    const merged = mergeRanges(list);
    for (let value = 0; value < 256; value += 5) {
      const naive = list.some(([first, last]) => key(value) >= first && key(value) <= last);
      if (inRanges(merged, key(value)) !== naive) t.fail(`10.0.0.${value} in ${JSON.stringify(list)}`);
    }
  }
  t.pass('300 lists');
  t.equal(inRanges([], key(1)), false);
  t.end();
});
