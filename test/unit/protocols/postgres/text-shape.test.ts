import t from 'tap';
import { shapeOf } from '#src/protocols/postgres/text-shape.ts';

const shape = (text: string): string | null => shapeOf(Buffer.from(text));

t.test('texts that differ in whole numbers alone have one shape', async (t) => {
  const same = [
    [
      'SELECT abalance FROM pgbench_accounts WHERE aid = 4711;',
      'SELECT abalance FROM pgbench_accounts WHERE aid = 8;',
    ],
    ['SELECT * FROM t1 WHERE a IN (1,2, 3) LIMIT 10', 'SELECT * FROM t1 WHERE a IN (7,5, 999999999) LIMIT 0'],
    ["UPDATE t SET v = 'it''s 5' WHERE id=-3", "UPDATE t SET v = 'it''s 5' WHERE id=-4"],
    ['SELECT 1.5 + 2', 'SELECT 1.5 + 007'],
    ['SELECT x."9" FROM x WHERE y=1-2', 'SELECT x."9" FROM x WHERE y=3-4'],
  ] as const;
  for (const [one, other] of same) {
    t.type(shape(one), 'string', one);
    t.equal(shape(one), shape(other), other);
  }
});

t.test('which of them are equal is part of it', async (t) => {
  t.equal(shape('a + 1 = b + 1'), shape('a + 22 = b + 22'));
  t.not(shape('a + 1 = b + 1'), shape('a + 1 = b + 2'));
  t.equal(shape('a + 1 = b + 01'), shape('a + 1 = b + 1'), 'by what they say');
});

t.test('of many numbers as well', async (t) => {
  const list = (values: readonly number[]): string => `SELECT ${values.join()}`;
  const values = Array.from({ length: 256 }, (_, n) => 7 * n);
  const shapes = new Set([shape(list(values))]);
  t.equal(shape(list(values.map((value) => value + 1))), [...shapes][0]);
  for (let at = 1; at < values.length; at += 1) {
    for (const other of [0, at >> 4, at & 0x0f]) {
      if (other !== at) shapes.add(shape(list(values.with(at, values[other] ?? 0))));
    }
  }
  const pairs = values.flatMap((_, at) =>
    [...new Set([0, at >> 4, at & 0x0f])].filter((other) => other !== at),
  );
  t.equal(shapes.size, 1 + pairs.length);
  t.notOk(shapes.has(null));
});

t.test('whatever else differs makes another', async (t) => {
  const others = [
    ['SELECT 1 FROM a', 'SELECT 1 FROM b'],
    ['SELECT 1 FROM t1', 'SELECT 1 FROM t2'],
    ["SELECT '1', 1", "SELECT '2', 1"],
    ['SELECT "1", 1', 'SELECT "2", 1'],
    ['SELECT 1.5, 1', 'SELECT 1.6, 1'],
    ['SELECT t.a, 1', 'SELECT t .a, 1'],
    ['SELECT 1', 'SELECT  1'],
  ] as const;
  for (const [one, other] of others) t.not(shape(one), shape(other), other);
  const text = shape('SELECT 1') ?? '';
  t.ok(/[^\0-\xff]/.test(text), 'no text is a shape');
});

t.test('texts that take more to be read have none', async (t) => {
  const none = [
    'SELECT a FROM t',
    'SELECT 1 -- 2',
    'SELECT 1 /* 2 */',
    'SELECT $1, 2',
    'SELECT $$ 1 $$, 2',
    "SELECT E'\\' || 1",
    'SELECT ö, 1',
    'SELECT 0x10 + 16',
    'SELECT 1_000 + 1000',
    'SELECT 1e3',
    'SELECT 2147483648',
    'SELECT 0000000005',
    'SELECT 1..2',
    'SELECT x::FLOAT(5)',
    'SELECT 5abc',
    "SELECT 1, 'open",
    'SELECT 1, "open',
    `SELECT ${Array.from({ length: 257 }, (_, n) => n).join()}`,
  ];
  for (const text of none) t.equal(shape(text), null, text.slice(0, 40));
});
