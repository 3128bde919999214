import t from 'tap';
import { type Column, formatTable, Table } from '#src/cli/table.ts';

const COLUMNS: readonly Column[] = [
  { title: 'NAME', shrinkTo: 5 },
  { title: 'SIZE', align: 'right', dropOrder: 1 },
  { title: 'PID', dropOrder: 2 },
];
const ROWS = [
  ['short', '1', '7'],
  ['a-long-name', '1000', '4194304'],
];
const plain = (text: string): string => text;

function lines(width: number | null): string[] {
  return formatTable(COLUMNS, ROWS, width, plain).split('\n');
}

t.test('as wide as it must be', async (t) => {
  const expected = ['NAME         SIZE  PID', 'short           1  7', 'a-long-name  1000  4194304', ''];
  t.same(lines(null), expected);
  t.same(lines(26), expected);
});

t.test('shortens, then drops what matters least, and never exceeds the width', async (t) => {
  t.same(lines(22), ['NAME     SIZE  PID', 'short       1  7', 'a-long…  1000  4194304', '']);
  t.same(lines(19), ['NAME         SIZE', 'short           1', 'a-long-name  1000', '']);
  t.same(lines(8), ['NAME', 'short', 'a-long-…', '']);
  for (let width = 5; width < 30; width += 1) {
    t.ok(
      lines(width).every((line) => [...line].length <= width),
      `${width} columns`,
    );
  }
});

t.test('cells are made safe, and colour does not count as width', async (t) => {
  const columns: readonly Column[] = [{ title: 'A', paint: () => 'red' }, { title: 'B' }];
  const painter = (text: string, paint: string | null): string => (paint === 'red' ? `<${text}>` : text);
  t.equal(formatTable(columns, [['\u001b', 'x']], 80, painter), 'A     B\n<\\x1b>  x\n');
});

t.test('a row that is wider than expected is shortened on a terminal, and whole elsewhere', async (t) => {
  const row = ['abcdefgh', '1', '2'];
  t.equal(new Table(COLUMNS, [['abc', '1', '2']], 80, plain).row(row), 'abc…     1  2');
  t.equal(new Table(COLUMNS, [['abc', '1', '2']], null, plain).row(row), 'abcdefgh     1  2');
});
