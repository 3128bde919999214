import t from 'tap';
import { countTap } from '../../../../scripts/lib/count-tap.ts';

t.test('leaves are counted once, whatever they are nested in', async (t) => {
  const text = [
    'TAP version 14',
    '# Subtest: outer',
    '    ok 1 - a',
    '    not ok 2 - b',
    '    ok 3 - c # SKIP not here',
    '    1..3',
    'not ok 1 - outer',
    'ok 2 - d',
    '1..2',
    '',
  ].join('\n');
  t.strictSame(countTap(text), { passed: 2, failed: 1, skipped: 1 });
});

t.test('a plan that was not kept, or a bail-out, is a failure', async (t) => {
  t.equal(countTap('TAP version 14\n1..3\nok 1\n').failed > 0, true);
  t.equal(countTap('TAP version 14\nok 1\nBail out!\n').failed, 1);
});

t.test('nothing at all is not a pass', async (t) => {
  t.equal(countTap('').passed, 0);
});
