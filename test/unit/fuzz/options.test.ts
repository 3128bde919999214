import t from 'tap';
import { parseFuzzOptions } from '#test/fuzz/options.ts';

const parse = (...argv: string[]) => parseFuzzOptions(argv, ['a', 'b']);

t.test('what is said and what is not', async (t) => {
  t.strictSame(parse(), { kind: 'run', seconds: 60, seed: null, path: null, targets: ['a', 'b'] });
  t.match(parse('--seconds', '5', '--seed=-7', '--target', 'b'), { seconds: 5, seed: -7, targets: ['b'] });
  t.match(parse('--target', 'a', '--seed', '1', '--path', '3:0'), { path: '3:0' });
  t.match(parse('--help'), { kind: 'help', text: /usage/ });
  t.match(parse('--list'), { kind: 'help', text: 'a\nb\n' });
});

t.test('what is wrong is told with how it is used', async (t) => {
  for (const argv of [
    ['--seconds', '0'],
    ['--seconds', 'x'],
    ['--seed', 'x'],
    ['--target', 'c'],
    ['--path', '1'],
    ['--nope'],
    ['x'],
  ])
    t.match(parse(...argv), { kind: 'wrong', text: /usage/ }, argv.join(' '));
});
