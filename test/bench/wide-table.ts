/**
 * The table behind the long result: 100 columns of the types programs have, short values and long. It has few rows, which are given
 * out over and over: so the result is as long as is wanted, and takes up no disk.
 */

export const WIDE_TABLE = 'wide';
/** The column policy masks whatever is in it. */
export const WIDE_SECRET = 'salary';
const TABLE_ROWS = 1_000;
const COLUMNS = 100;

/** Of row g. What they look like as text decides what looking for things in them costs. */
const KINDS: readonly (readonly [type: string, value: string])[] = [
  ['int4', 'g * 7919 + i'],
  ['uuid', "md5(g || '/' || i)::uuid"],
  ['timestamptz', "timestamptz '2026-01-01 08:30:00+00' + g * interval '37.123456 minutes'"],
  ['numeric(10,2)', '(g * 6151 % 1000000) / 100.0'],
  ['float8', '(g * 104729 % 99991)::float8 / 977'],
  ['text', "(ARRAY['shipped', 'open', 'cancelled'])[1 + g % 3]"],
  ['text', "'the ' || left(md5(g::text), 7) || ' was sent back by ' || right(md5(g::text), 9)"],
  ['text', "'https://shop.example.org/items/' || g || '?ref=' || left(md5(g || 'r'), 6)"],
  ['bool', 'g % 2 = 0'],
  ['text', "left(md5(g || 'a'), 6) || ' ' || left(md5(g || 'b'), 9)"],
];

/** An address in one of ten rows, a card's number in one of fifty. */
const LAST: readonly (readonly [name: string, type: string, value: string])[] = [
  [
    'contact',
    'text',
    "CASE WHEN g % 10 = 0 THEN left(md5(g::text), 8) || '@example.org' ELSE md5(g::text) END",
  ],
  ['paid_by', 'text', "CASE WHEN g % 50 = 0 THEN '4111 1111 1111 1111' ELSE 'invoice ' || g END"],
  [WIDE_SECRET, 'text', '(30000 + g * 13)::text'],
];

function columns(): (readonly [name: string, type: string, value: string])[] {
  const cycled = Array.from({ length: COLUMNS - LAST.length }, (_, i) => {
    const [type, value] = KINDS[i % KINDS.length] ?? ['text', "''"];
    return [`c${i}`, type, value.replaceAll(/\bi\b/g, String(i))] as const;
  });
  return [...cycled, ...LAST];
}

/** Statements that make it. */
export function makeWideTable(): string {
  const all = columns();
  const declared = all.map(([name, type]) => `${name} ${type}`).join(', ');
  const values = all.map(([, , value]) => value).join(', ');
  return (
    `CREATE TABLE ${WIDE_TABLE} (${declared}); ` +
    `INSERT INTO ${WIDE_TABLE} SELECT ${values} FROM generate_series(1, ${TABLE_ROWS}) AS g; ANALYZE ${WIDE_TABLE};`
  );
}

/** The statement whose result has so many rows of it. */
export function selectWide(rows: number): string {
  const times = Math.ceil(rows / TABLE_ROWS);
  return `SELECT w.* FROM generate_series(1, ${times}) AS t, ${WIDE_TABLE} AS w LIMIT ${rows}`;
}
