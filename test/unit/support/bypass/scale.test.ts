import t from 'tap';
import { ROWS } from '#test/support/bypass/rows.ts';
import { CROWDS, scaled, scaledRow, withPart } from '#test/support/bypass/scale.ts';
import type { Cell } from '#test/support/bypass/types.ts';

const cell = (row: string, verdict: Cell['verdict']): Cell => ({
  row,
  who: 'user',
  family: '4',
  verdict,
  detail: '',
});

t.test('an emulated machine makes a part of the tries, any other all of them', async (t) => {
  t.equal(scaled(1000, 5), 200);
  t.equal(scaled(2, 5), 1, 'never none');
});

t.test('counts of crowds are scaled, and no other option', async (t) => {
  t.equal(CROWDS.length, 7);
  for (const row of ROWS) {
    const count = Number(row.option);
    const isScaled = scaledRow(row, 5).option !== row.option;
    t.equal(isScaled, CROWDS.includes(row) && count > 1, row.name);
    t.strictSame(scaledRow(row, 1), row);
  }
});

t.test('an answer says what number it holds for', async (t) => {
  t.equal(withPart(cell('exec-race', 'redirected'), 5).detail, 'a fifth of the number');
  t.equal(withPart(cell('exec-race', 'redirected'), 1).detail, '');
  t.equal(withPart(cell('exec-race', 'open'), 5).detail, '');
  t.equal(withPart(cell('tcp', 'redirected'), 5).detail, '');
});
