import t from 'tap';
import { Catalog } from '#src/protocols/postgres/masking/catalog.ts';
import { ColumnRules, reachesIn } from '#src/protocols/postgres/masking/column-rules.ts';
import { statementFacts } from '#src/protocols/postgres/masking/touch.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';

await loadParser();
const names = [
  { schema: null, table: 'others', column: 'x' },
  { schema: null, table: 'people', column: 'ssn' },
];
const shown = {
  rule: 1,
  tableOid: 100,
  attribute: 0,
  schema: 'public',
  table: 'shown',
  column: null,
  columns: [],
};

t.test('what one session asked is true for the rules of another', async (t) => {
  const catalog = new Catalog(new ColumnRules(names).rules, 200, [shown]);
  const reaches = reachesIn(catalog);
  const view = { schema: null, name: 'shown' };
  const [others, people] = new ColumnRules(names).rules;
  if (others === undefined || people === undefined) throw new Error('two rules');
  t.equal(reaches(view, people), 'by any name');
  t.equal(reaches(view, others), 'no');
  t.equal(reaches({ schema: null, name: 'people' }, people), 'by its name');
});

t.test('a function of the database may read whatever it likes', async (t) => {
  const columns = new ColumnRules(names);
  const catalog = new Catalog(columns.rules, 200, [shown], new Set(['ssn_of']));
  const touched = (sql: string, known = catalog): boolean =>
    columns.anyTouched(statementFacts(Buffer.from(sql)), known);
  for (const sql of [
    'select ssn_of(1)',
    'select b from s.ssn_of(1) as t (b)',
    'select x.ssn_of from others x',
    'select (x).ssn_of from others x',
    'explain verbose select ssn_of(1)',
    'declare c cursor for select "ssn_of"(1)',
  ])
    t.ok(touched(sql), sql);
  for (const sql of ['select count(*) from others', 'select upper(a) from others', 'select 1'])
    t.notOk(touched(sql), sql);
  const without = new Catalog(columns.rules, 200, [], new Set(['ssn_of']));
  t.notOk(touched('select ssn_of(1)', without), 'there is no such column in the database');
});
