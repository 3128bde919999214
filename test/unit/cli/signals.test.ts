import t from 'tap';
import { ignoredSignals, isForeground } from '#src/cli/signals.ts';

t.test('reads the mask of ignored signals', async (t) => {
  t.same(ignoredSignals('0000000000000001'), ['SIGHUP']);
  t.same(ignoredSignals('0000000000000006'), ['SIGINT', 'SIGQUIT']);
  t.same(ignoredSignals('ffffffffffffffff').length, 7);
  t.same(ignoredSignals('0000000000001000'), [], 'SIGPIPE is none of those passed on');
  for (const mask of [undefined, '', 'x', '-1', '0x1', '1'.repeat(33)])
    t.same(ignoredSignals(mask), [], String(mask));
});

t.test('knows the foreground group, whatever the process is called', async (t) => {
  const stat = (tty: number, pgrp: number, foreground: number) =>
    `10 (no) de ) S 1 ${pgrp} 5 ${tty} ${foreground} 4194304 0 0`;
  t.ok(isForeground(stat(34816, 10, 10)));
  t.notOk(isForeground(stat(34816, 10, 11)), 'a background job');
  t.notOk(isForeground(stat(0, 10, -1)), 'no terminal');
});
