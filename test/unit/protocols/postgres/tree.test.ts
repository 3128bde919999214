/** Looking into the parser's tree. */
import t from 'tap';
import { listOf, nodesOf, relationOf, stringOf, targetName, targetOf } from '#src/protocols/postgres/tree.ts';

t.test('every node comes once, before what is in it, however deep', async (t) => {
  const tree = [{ a: { b: [{ c: 1 }, 'text', null] } }, { d: {} }];
  const keys = [...nodesOf(tree)].map((node) => Object.keys(node).join());
  t.same([...keys].sort(), ['', 'a', 'b', 'c', 'd']);
  t.ok(keys.indexOf('a') < keys.indexOf('b') && keys.indexOf('b') < keys.indexOf('c'));
  let deep: unknown = {};
  for (let level = 0; level < 100_000; level += 1) deep = { in: deep };
  t.equal([...nodesOf(deep)].length, 100_001);
  t.same([...nodesOf(null), ...nodesOf('text'), ...nodesOf(undefined)], []);
});

t.test('what is not there is told', async (t) => {
  t.same(listOf(undefined), []);
  t.same(listOf([1]), [1]);
  t.equal(stringOf({ String: { sval: 'x' } }), 'x');
  t.equal(stringOf({ A_Star: {} }), null);
  t.same(relationOf({ relname: 't' }), { schema: null, name: 't' });
  t.same(relationOf({ relname: 't', schemaname: 's' }), { schema: 's', name: 't' });
  t.equal(relationOf({}), null);
  t.same(targetOf({ ResTarget: { name: 'x' } }), { name: 'x' });
  t.equal(targetName({ ResTarget: { name: 'x' } }), 'x');
  t.equal(targetName({ ResTarget: {} }), null);
  t.equal(targetOf(undefined), null);
});
