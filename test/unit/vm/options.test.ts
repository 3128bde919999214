import t from 'tap';
import { parseOptions } from '#test/vm/options.ts';
import { DEFAULT_PAIR, PAIRS } from '#test/vm/pairs.ts';

const names = (...argv: string[]): string[] => parseOptions(argv).pairs.map((pair) => pair.name);

t.test('which pairs', async (t) => {
  t.same(names(), [DEFAULT_PAIR]);
  t.same(names('--pair', 'trixie/7.3', '--pair', 'bookworm/6.1', '--pair', 'trixie/7.3'), [
    'trixie/7.3',
    'bookworm/6.1',
  ]);
  t.equal(names('--all').length, PAIRS.length);
});

t.test('which tests', async (t) => {
  t.same(parseOptions([]).filters, []);
  t.same(parseOptions(['--filter', 'lsm', '--filter', 'systemd']).filters, ['lsm', 'systemd']);
});

t.test('how much of the bypass matrix', async (t) => {
  t.equal(parseOptions([]).bypass, 'differing');
  t.equal(parseOptions(['--matrix']).bypass, 'all');
  t.match(parseOptions(['--matrix', '--write']), { bypass: 'all', keepsBypass: true });
  t.match(parseOptions(['--resume']), { bypass: 'missing', keepsBypass: true });
  t.throws(() => parseOptions(['--resume', '--quiet']), /exclude each other/);
  t.match(parseOptions(['--write', '--quiet']), { bypass: 'quiet', keepsBypass: true });
});

t.test('a brief run tries few rows, and keeps none', async (t) => {
  t.match(parseOptions(['--brief', '--limit', '15']), { bypass: 'few', brief: true, limitMinutes: 15 });
  t.equal(parseOptions([]).limitMinutes, 90);
  t.throws(() => parseOptions(['--brief', '--resume']), /exclude each other/);
  t.throws(() => parseOptions(['--brief', '--write']), /no whole matrix/);
  for (const limit of ['0', '91', 'long', ''])
    t.throws(() => parseOptions(['--limit', limit]), /no number from 1 to 90/);
});

t.test('what makes no sense is refused with the reason', async (t) => {
  t.throws(() => parseOptions(['--pair', 'bookworm/2.6']), /"bookworm\/2.6" is none of bookworm\/6\.1,/);
  t.throws(() => parseOptions(['--all', '--pair', 'bookworm/6.1']), /exclude each other/);
  t.throws(() => parseOptions(['--fast']), /fast/);
  t.throws(() => parseOptions(['bookworm/6.1']), /bookworm/);
});
