import t from 'tap';
import { BoundedMap } from '#src/core/bounded-map.ts';

t.test('forgets what was used longest ago, and only when it is full', async (t) => {
  const map = new BoundedMap<string, number>(2);
  map.set('a', 1);
  map.set('b', 2);
  t.equal(map.get('a'), 1, 'a is now the more recent');
  map.set('c', 3);
  t.equal(map.get('b'), undefined);
  t.equal(map.get('a'), 1);
  t.equal(map.size, 2);
  map.set('a', 4);
  t.equal(map.size, 2, 'replacing is not adding');
  map.delete('a');
  t.notOk(map.has('a'));
});
