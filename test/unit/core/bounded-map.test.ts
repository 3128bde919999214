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

t.test('what is asked for again and again is the one used last, and no more than that', async (t) => {
  const map = new BoundedMap<string, number>(2);
  map.set('a', 1);
  map.set('b', 2);
  for (let n = 0; n < 3; n += 1) t.equal(map.get('b'), 2);
  for (let n = 0; n < 3; n += 1) t.equal(map.get('a'), 1);
  map.set('c', 3);
  t.notOk(map.has('b'));
  t.equal(map.get('c'), 3);
  t.equal(map.get('a'), 1);
  map.set('d', 4);
  t.notOk(map.has('c'));
  map.delete('d');
  t.equal(map.get('d'), undefined);
});
