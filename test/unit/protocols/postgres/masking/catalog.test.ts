import t from 'tap';
import { Catalog } from '#src/protocols/postgres/masking/catalog.ts';
import { ColumnRules, reachesIn } from '#src/protocols/postgres/masking/column-rules.ts';

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
