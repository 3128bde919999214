import t from 'tap';
import { counted, formatBytes, formatDuration, formatTime, parseSince } from '#src/cli/units.ts';

t.test('times in the past', async (t) => {
  const now = Date.UTC(2026, 0, 31);
  t.equal(parseSince('90s', now), now - 90_000);
  t.equal(parseSince('10m', now), now - 600_000);
  t.equal(parseSince('2h', now), now - 7_200_000);
  t.equal(parseSince('1d', now), now - 86_400_000);
  t.equal(parseSince('1w', now), now - 604_800_000);
  t.equal(parseSince('2026-01-30T00:00:00+01:00', now), Date.UTC(2026, 0, 29, 23));
  for (const text of ['', '10', 'm', '-1m', '1.5h', '10M', '1y', '2026-01-30', '9999999s']) {
    t.throws(() => parseSince(text, now), { code: 'CONFIG' }, text);
  }
});

t.test('counts', async (t) => {
  t.equal(counted(1, 'rule'), '1 rule');
  t.equal(counted(0, 'process', 'processes'), '0 processes');
});

t.test('sizes', async (t) => {
  const cases: [number, string][] = [
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [10_240, '10 KiB'],
    [1024 ** 2 * 1.5, '1.5 MiB'],
    [1024 ** 5, '1024 TiB'],
  ];
  for (const [bytes, text] of cases) t.equal(formatBytes(bytes), text);
});

t.test('durations', async (t) => {
  const cases: [number, string][] = [
    [0.04, '0.0 ms'],
    [9.9, '9.9 ms'],
    [42.4, '42 ms'],
    [1234, '1.2 s'],
    [180_000, '3 min'],
    [9_000_000, '2.5 h'],
  ];
  for (const [ms, text] of cases) t.equal(formatDuration(ms), text);
});

t.test('times of records', async (t) => {
  t.match(formatTime('2026-01-31T12:00:00.123Z'), /^2026-0[12]-\d\d \d\d:00:00$/);
  t.equal(formatTime('never'), 'never');
});
