import t from 'tap';
import { AskedCells } from '#src/protocols/postgres/masking/asked-cells.ts';

t.test('values are kept by their number, however many, and again after they were cleared', async (t) => {
  const asked = new AskedCells();
  for (const many of [3_000, 5]) {
    for (let cell = 0; cell < many; cell += 1) asked.add(2 * cell, 2 * cell + 1, cell % 7);
    t.equal(asked.count, many);
    t.strictSame([...asked.at(0)], [0, 1, 0]);
    t.strictSame([...asked.at(many - 1)], [2 * many - 2, 2 * many - 1, (many - 1) % 7]);
    t.strictSame([...asked.numbers.subarray(3, 6)], [2, 3, 1], 'as the masker takes them');
    asked.clear();
    t.equal(asked.count, 0);
  }
});
