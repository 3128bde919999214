import t from 'tap';
import { TECHNIQUES, techniqueOf } from '#src/kernel/techniques.ts';

t.test('every number leads to its name and none has two', async (t) => {
  const numbers = Object.values(TECHNIQUES);
  t.equal(new Set(numbers).size, numbers.length);
  for (const [name, number] of Object.entries(TECHNIQUES)) t.equal(techniqueOf(number), name);
  t.equal(techniqueOf(0), null);
  t.equal(techniqueOf(65_535), null);
});
