/** Data of COPY: by columns where the statement says which, in all three formats, whole, in pieces, and too long to be held. */
import t from 'tap';
import { Catalog } from '#src/protocols/postgres/masking/catalog.ts';
import { ColumnRules } from '#src/protocols/postgres/masking/column-rules.ts';
import { type CopyOut, planCopy } from '#src/protocols/postgres/masking/copy-out.ts';
import { statementFacts } from '#src/protocols/postgres/masking/touch.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';
import { CARDS, maskerOf, SSN } from '#test/support/masks.ts';
import { message, uint32 } from '#test/support/postgres-packets.ts';
import { splitsOf } from '#test/support/splits.ts';

await loadParser();
const columns = new ColumnRules(SSN.columns);
const catalog = new Catalog(columns.rules, 100, [
  {
    rule: 0,
    tableOid: 10,
    attribute: 2,
    schema: 'public',
    table: 'people',
    column: 'ssn',
    columns: ['id', 'ssn', 'note'],
  },
  { rule: 0, tableOid: 11, attribute: 0, schema: 'public', table: 'shown', column: null, columns: ['x'] },
]);

function copyOf(sql: string, count: number, known: Catalog | null = catalog): CopyOut {
  const facts = statementFacts(Buffer.from(sql));
  return planCopy({
    isBinary: /binary/.test(sql),
    count,
    shape: facts?.copies[0] ?? null,
    facts,
    columns,
    catalog: known,
    masker: maskerOf(CARDS, SSN),
    onHits: () => {},
  });
}

/** What comes of pieces, as the content of what is sent. */
function through(copy: CopyOut, ...pieces: (string | Buffer)[]): string {
  const out = pieces.map((piece) => {
    const bytes = message('d', Buffer.from(piece as string, 'latin1'));
    const sent = copy.whole(bytes, 0, bytes.length) ?? bytes;
    return Buffer.from(sent).toString('latin1').slice(5);
  });
  copy.end();
  return out.join('');
}

const CASES: [name: string, sql: string, count: number, row: string, expected: string][] = [
  ['a table with its columns named', 'copy people (ssn, id) to stdout', 2, 's\t1\n', '********\t1\n'],
  ['a whole table', 'copy people to stdout', 3, '1\ts\tn\n', '1\t********\tn\n'],
  ['a whole table by a query', 'copy (select * from people) to stdout', 3, '1\ts\tn\n', '1\t********\tn\n'],
  ['a query', 'copy (select id, ssn as x, note from people) to stdout', 3, '1\ts\tn\n', '1\t********\tn\n'],
  ['statistics', 'copy (select most_common_vals from pg_stats) to stdout', 1, '{s}\n', '{"********"}\n'],
  ['an expression', 'copy (select id, upper(ssn) from people) to stdout', 2, '1\tS\n', '1\t********\n'],
  [
    'a star among others',
    'copy (select 1, p.* from people p) to stdout',
    4,
    '5\t1\ts\tn\n',
    '\\N\t\\N\t********\t********\n',
  ],
  ['a whole row', 'copy (select p from people p) to stdout', 1, '(1,s)\n', '(,"********")\n'],
  ['a view by its own names', 'copy (select x from shown) to stdout', 1, 's\n', '********\n'],
  ['a subquery', 'copy (select x from (select ssn from people) q (x)) to stdout', 1, 's\n', '********\n'],
  ['another table', 'copy others (ssn) to stdout', 1, 's\n', 's\n'],
  ['another table by a query', 'copy (select ssn from others) to stdout', 1, 's\n', 's\n'],
  ['columns that do not fit', 'copy people to stdout', 2, '1\ts\n', '\\N\t********\n'],
  ['NULL', 'copy people (ssn) to stdout', 1, '\\N\n', '\\N\n'],
  [
    'a value with escapes',
    'copy people (note) to stdout',
    1,
    'a\\t4111111111111111\\\\\n',
    'a\\t************1111\\\\\n',
  ],
  [
    'another delimiter',
    "copy people (id, note) to stdout (delimiter '|')",
    2,
    '1|4111111111111111 a\n',
    '1|************1111 a\n',
  ],
  ['a number', 'copy people (note) to stdout', 1, '4111111111111111\n', '\\N\n'],
  ['another word for NULL', "copy people (note) to stdout (null 'none')", 1, '4111111111111111\n', 'none\n'],
  [
    'bytea',
    'copy people (note) to stdout',
    1,
    '\\\\x2034313131313131313131313131313131\n',
    '\\\\x202a2a2a2a2a2a2a2a2a2a2a2a31313131\n',
  ],
  [
    'an array',
    'copy people (note) to stdout',
    1,
    '{a,"4111 1111 1111 1111"}\n',
    '{a,"**** **** **** 1111"}\n',
  ],
  ['json', 'copy people (note) to stdout', 1, '{"a": "4111111111111111"}\n', '{"a": "************1111"}\n'],
  ['csv', 'copy people (id, ssn) to stdout csv', 2, '1,s\n', '1,"********"\n'],
  [
    'a table out of JSON',
    "copy (select x from people, json_table(jsonb_build_array(ssn), '$[*]' columns (x text path '$'))) to stdout",
    1,
    's\n',
    '********\n',
  ],
  [
    'csv without a header',
    "copy people (ssn) to stdout (format csv, header 'Off')",
    1,
    's\n',
    '"********"\n',
  ],
  [
    'a name of a column',
    'copy people (id, note) to stdout (header)',
    2,
    'id\t4111111111111111\n1\tx\n',
    'id\t************1111\n1\tx\n',
  ],
  [
    'a delimiter that is a digit',
    "copy others (id, note) to stdout (format csv, delimiter '5')",
    2,
    '154111111111111111\n',
    '15\n',
  ],
  ['csv with a header', 'copy people (id, ssn) to stdout (format csv, header)', 2, 'id,ssn\n', 'id,ssn\n'],
  [
    'csv with a line in a value',
    'copy people (note) to stdout csv',
    1,
    '"a\n4111111111111111"\n',
    '"a\n************1111"\n',
  ],
  [
    'csv with quotes',
    'copy people (note) to stdout csv',
    1,
    '"say ""4111111111111111"""\n',
    '"say ""************1111"""\n',
  ],
  [
    'csv with other quotes',
    "copy people (note) to stdout (format csv, quote '''', escape '\\')",
    1,
    "'it\\'s 4111111111111111'\n",
    "'it\\'s ************1111'\n",
  ],
  ['csv with an empty value', 'copy people (ssn) to stdout csv', 1, '""\n', '""\n'],
  ['an empty value', 'copy people (ssn, id) to stdout', 2, '\t1\n', '\t1\n'],
  ['csv with NULL', 'copy people (id, ssn) to stdout csv', 2, '1,\n', '1,\n'],
];

t.test('rows in text', async (t) => {
  for (const [name, sql, count, row, expected] of CASES)
    t.equal(through(copyOf(sql, count), row), expected, name);
});

t.test('what is not known is masked', async (t) => {
  t.equal(
    through(copyOf('copy people to stdout', 2, null), '1\ts\n'),
    '\\N\t********\n',
    'columns of a table',
  );
  t.equal(through(copyOf('copy other (ssn) to stdout', 1, null), 's\n'), '********\n', 'what a view is of');
  t.throws(() => copyOf('copy no sql', 1), /not understood/, 'text or CSV');
});

t.test('rows that come in pieces are put together', async (t) => {
  const copy = () => copyOf('copy people (id, ssn) to stdout', 2);
  t.equal(through(copy(), '1\t', 'se', 'cret\n2', '\ts\n'), '1\t********\n2\t********\n');
  t.throws(() => through(copy(), '1\ts'), /cut/, 'one that does not end');
  t.throws(() => through(copy(), ...Array.from({ length: 70 }, () => 'x')), /cut/, 'one in too many pieces');
  t.throws(() => through(copy(), '1\n'), /other columns/);
});

function long(copy: CopyOut, chunks: readonly Buffer[]): string {
  const row = copy.long();
  const out = [...chunks.map((chunk) => row.push(chunk)), row.end()];
  return Buffer.concat(out).toString('latin1');
}

t.test('rows too long to be held keep their length, whatever the chunks', async (t) => {
  const x = 'x'.repeat(300);
  const rows: [string, number, string, string][] = [
    [
      'copy people (id, ssn, note) to stdout',
      3,
      `1\ts\\ts${x}\t${x} 4111111111111111\n`,
      `1\t****${'*'.repeat(300)}\t${x} ************1111\n`,
    ],
    ['copy people (ssn, note) to stdout csv', 2, `"s,""\n",${x}\n`, `"**""*",${x}\n`],
  ];
  for (const [sql, count, row, expected] of rows)
    for (const { name, chunks } of splitsOf(Buffer.from(row, 'latin1'), 6))
      t.equal(long(copyOf(sql, count), chunks), expected, name);
  t.throws(() => long(copyOf('copy people (ssn) to stdout', 1), [Buffer.from('cut')]), /cut/);
});

const sized = (value: string | null): Buffer =>
  value === null ? uint32(0xffff_ffff) : Buffer.concat([uint32(value.length), Buffer.from(value, 'latin1')]);
const binaryRow = (...values: (string | null)[]): Buffer =>
  Buffer.concat([Buffer.from([0, values.length]), ...values.map(sized)]);
const HEAD = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), uint32(0), uint32(0)]);
const END = Buffer.from([0xff, 0xff]);

t.test('rows in binary', async (t) => {
  const copy = () => copyOf('copy people (id, ssn, note) to stdout (format binary)', 3);
  const rows = [binaryRow('\0\0\0\x01', 's', 'a 4111111111111111'), binaryRow('\0\0\0\x02', null, null)];
  const expected = Buffer.concat([
    HEAD,
    binaryRow('\0\0\0\x01', '********', 'a ************1111'),
    binaryRow('\0\0\0\x02', null, null),
    END,
  ]).toString('latin1');
  t.equal(through(copy(), HEAD, ...rows, END), expected, 'as PostgreSQL sends it');
  t.equal(through(copy(), Buffer.concat([HEAD, ...rows, END])), expected, 'all in one');
  const [first] = rows;
  const half = first?.subarray(0, 9) ?? Buffer.alloc(0);
  t.equal(
    through(copy(), HEAD, half, first?.subarray(9) ?? Buffer.alloc(0), rows[1] ?? '', END),
    expected,
    'in pieces',
  );
  t.throws(() => through(copy(), 'PGCOPY, but not quite the same'), /no binary COPY/);
  t.throws(() => through(copy(), HEAD, binaryRow('a')), /unlike|other columns/);
  const row = binaryRow('1', `${'s'.repeat(60_000)}`, `${'x'.repeat(60_000)} 4111111111111111`);
  for (const { name, chunks } of splitsOf(row, 3).filter(({ name }) => name !== 'byte by byte')) {
    const masked = long(copy(), [HEAD, ...chunks]).slice(HEAD.length);
    t.equal(
      masked,
      binaryRow('1', '*'.repeat(60_000), `${'x'.repeat(60_000)} ************1111`).toString('latin1'),
      name,
    );
  }
});
