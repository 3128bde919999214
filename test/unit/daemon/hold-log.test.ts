import t from 'tap';
import { HoldLog } from '#src/daemon/hold-log.ts';
import { until } from '#test/support/command.ts';

t.test('so many holds of an agent are told of in a minute, and how many are not', async (t) => {
  const lines: string[] = [];
  const log = new HoldLog((line) => lines.push(line), 300);
  const told = Array.from({ length: 1_000 }, (_, n) => log.begins('web', `web ${n}`));
  t.strictSame([told.indexOf(false), told.lastIndexOf(true)], [20, 19]);
  t.ok(log.begins('shop', 'shop'), 'another has its own');
  t.equal(lines.length, 21);
  log.say('approved');
  t.equal(lines.at(-1), 'approved', 'answers always');
  await until('the end of the minute', () => lines.length === 23);
  t.equal(lines.at(-1), 'holds that are not told of here, too many in a minute: 980 by web');
  t.ok(log.begins('web', 'web again'));
});

t.test('names that are invented are bounded together', async (t) => {
  const lines: string[] = [];
  const log = new HoldLog((line) => lines.push(line), 300);
  for (let n = 0; n < 1_000; n += 1) log.begins(`a${n}`, `line ${n}`);
  t.equal(lines.length, 200);
  await until('the end of the minute', () => lines.length === 201);
  t.match(lines.at(-1), /: 1 by a200, 1 by a201, 1 by a202, 1 by a203, 796 by others$/);
});

t.test('nothing begins a line of its own', async (t) => {
  const lines: string[] = [];
  const log = new HoldLog((line) => lines.push(line));
  log.begins('a', 'one\ntwo\u2028three');
  log.say('one\r\ntwo');
  t.strictSame(lines, ['one?two?three', 'one??two']);
});
