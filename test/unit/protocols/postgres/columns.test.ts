/** Which columns statements take or set, and what is left open. */
import t from 'tap';
import { columnsOf } from '#src/protocols/postgres/columns.ts';
import { isNode, loadParser, parse } from '#src/protocols/postgres/parser.ts';

await loadParser();

function columns(sql: string): string {
  const parsed = parse(Buffer.from(sql));
  const stmt = parsed.kind === 'statements' ? parsed.statements[0]?.['stmt'] : null;
  if (!isNode(stmt)) throw new Error(sql);
  return columnsOf(stmt)
    .map(({ schema, table, column }) =>
      [...(schema === null ? [] : [schema]), table ?? '?', column].join('.'),
    )
    .sort()
    .join(' ');
}

const CASES: readonly (readonly [sql: string, columns: string])[] = [
  ['select id, total from orders', 'orders.id orders.total'],
  ['select o.id from shop.orders o where o.ref = 1', 'shop.orders.id shop.orders.ref'],
  ['select count(*) from orders', ''],
  ['select * from orders', 'orders.*'],
  ['table orders', 'orders.*'],
  ['select o.* from orders o, items', 'orders.*'],
  ['select o from orders o', 'orders.*'],
  ['select orders::text from orders', 'orders.*'],
  ['select (o).card from orders o', 'orders.*'],
  ['select id from orders, items', 'items.id orders.id'],
  ['select id from orders join items using (ref)', 'items.id items.ref orders.id orders.ref'],
  ['select 1 from orders natural join items', 'items.* orders.*'],
  ['select j.id from (orders join items on true) j', 'items.id orders.id'],
  ['select j.ref from orders join items using (ref) as j', 'items.ref orders.ref'],
  ['select q.x from (select id as x from orders) q', 'orders.id'],
  ['select a from orders as o (a, b)', 'orders.* orders.a'],
  ['with q (a) as (select id from orders) select a from q', 'orders.* orders.a orders.id q.* q.a q.id'],
  ['select id as x from orders order by x', 'orders.id'],
  ['select id as card from orders group by card', 'orders.card orders.id'],
  ['select id from orders order by card', 'orders.card orders.id'],
  ['insert into orders (id, card) values (1, 2)', 'orders.card orders.id'],
  ['insert into orders values (1)', 'orders.*'],
  ['insert into orders default values', 'orders.*'],
  [
    'insert into orders (id) select ref from items returning note',
    'items.note items.ref orders.id orders.note orders.ref',
  ],
  [
    'insert into orders (id) values (1) on conflict (ref) do update set card = excluded.total where orders.a = 1',
    'orders.a orders.card orders.id orders.ref orders.total',
  ],
  ['update orders set card = 1 where id = 2', 'orders.card orders.id'],
  ['update orders set (a, b) = (1, 2)', 'orders.a orders.b'],
  ['delete from orders where id = 1', 'orders.* orders.id'],
  ['merge into orders using items on true when matched then do nothing', 'items.* orders.*'],
  ['copy orders (id) to stdout', 'orders.id'],
  ['copy orders to stdout', 'orders.*'],
  ['copy (select id from orders) to stdout', 'orders.id'],
  ['prepare p as select card from orders', 'orders.card'],
  ['explain select card from orders', 'orders.card'],
  ['alter table orders drop column card', 'orders.*'],
  ['create index on orders (card)', 'orders.* orders.card'],
  ['create view v as select id from orders', 'orders.* orders.id v.* v.id'],
  ['select x.y from orders', 'orders.*'],
  ['select f.a from f() f, orders', ''],
  ['select "CARD" from orders', 'orders.CARD'],
  ['select U&"c\\0061rd" from orders', 'orders.card'],
  ['select 1', ''],
];

t.test('columns by statement', async (t) => {
  for (const [sql, expected] of CASES) t.equal(columns(sql), expected.split(' ').sort().join(' '), sql);
});

t.test('the work is linear in many relations', async (t) => {
  const from = Array.from({ length: 2_000 }, (_, index) => `t${index}`).join(', ');
  const taken = Array.from({ length: 2_000 }, (_, index) => `c${index}`).join(', ');
  const found = columns(`select ${taken} from ${from}`).split(' ');
  t.equal(found.length, 2_000);
  t.ok(found.every((name) => name.startsWith('?.')));
});
