import t from 'tap';
import { inPorts, parsePorts } from '#src/policy/ports.ts';

t.test('ports and ranges', (t) => {
  t.strictSame(parsePorts(443), [443, 443]);
  t.strictSame(parsePorts('443'), [443, 443]);
  t.strictSame(parsePorts('8000-8010'), [8000, 8010]);
  t.strictSame(parsePorts('1-65535'), [1, 65535]);
  t.strictSame(parsePorts('7-7'), [7, 7]);
  for (const bad of [
    0,
    -1,
    65536,
    1.5,
    '',
    '0',
    '9-8',
    '1-65536',
    '1-',
    '-1',
    ' 80',
    '80 ',
    '1-2-3',
    '0x50',
    '100000',
  ]) {
    t.equal(parsePorts(bad), null, String(bad));
  }
  t.end();
});

t.test('looking a port up', (t) => {
  t.equal(inPorts([], 1), true, 'no ports: any port');
  t.equal(
    inPorts(
      [
        [80, 80],
        [8000, 8010],
      ],
      8010,
    ),
    true,
  );
  t.equal(
    inPorts(
      [
        [80, 80],
        [8000, 8010],
      ],
      8011,
    ),
    false,
  );
  t.equal(
    inPorts(
      [
        [80, 80],
        [8000, 8010],
      ],
      81,
    ),
    false,
  );
  t.end();
});
