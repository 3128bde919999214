import t from 'tap';
import { steadyLines } from '#test/support/bypass/steady.ts';
import type { Cell, Verdict } from '#test/support/bypass/types.ts';

const cell = (row: string, verdict: Verdict, detail = ''): Cell => ({
  row,
  who: 'user',
  family: '4',
  verdict,
  detail,
});
const same = (a: Cell, b: Cell): boolean => steadyLines([a])[0] === steadyLines([b])[0];

t.test('what is a race is the same either way', async (t) => {
  t.ok(same(cell('storm-worker-kills', 'held'), cell('storm-worker-kills', 'redirected')));
  t.ok(same(cell('exec-race', 'held', 'a fifth of the number'), cell('exec-race', 'redirected')));
  t.ok(same(cell('own-netns', 'refused', 'EPERM at connect'), cell('own-netns', 'dropped')));
});

t.test('what opens, and what is no race, is another answer', async (t) => {
  t.notOk(same(cell('own-netns', 'open', 'plain bytes on the wire'), cell('own-netns', 'dropped')));
  t.notOk(same(cell('own-netns', 'redirected'), cell('own-netns', 'dropped')));
  t.notOk(same(cell('storm-worker-kills', 'open'), cell('storm-worker-kills', 'held')));
  t.notOk(same(cell('udp', 'refused', 'EPERM at sendto'), cell('udp', 'dropped')));
});
