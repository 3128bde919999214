/** What a column of a result is taken for, and whether a database has anything that rules mean. */
import t from 'tap';
import { Catalog } from '#src/protocols/postgres/masking/catalog.ts';
import { ANY_COLUMN, ColumnRules } from '#src/protocols/postgres/masking/column-rules.ts';
import { statementFacts } from '#src/protocols/postgres/masking/touch.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';

await loadParser();
const rules = new ColumnRules([
  { schema: null, table: 'people', column: 'ssn' },
  { schema: null, table: null, column: 'card' },
]);
const catalogOf = (...rule: number[]): Catalog =>
  new Catalog(
    rules.rules,
    100,
    rule.map((index) => ({
      rule: index,
      tableOid: 10,
      attribute: 2,
      schema: 'public',
      table: 'people',
      column: 'ssn',
      columns: ['id', 'ssn'],
    })),
  );

t.test('a database has a column that is meant, or may have one as long as it was not asked', async (t) => {
  t.ok(rules.meanSomething(null));
  t.ok(rules.meanSomething(catalogOf(0)));
  t.ok(rules.meanSomething(catalogOf(1)));
  t.notOk(rules.meanSomething(catalogOf()));
  t.notOk(new ColumnRules([]).meanSomething(null));
});

t.test('what comes from no table that is known is masked, whatever it is called', async (t) => {
  const of = (sql: string, tableOid: number, catalog: Catalog | null) =>
    rules.factsOf(
      { name: 'hidden', typeOid: 25, tableOid, attribute: 1, format: 0 },
      statementFacts(Buffer.from(sql)),
      catalog,
      false,
    );
  const plain = { column: 'hidden' };
  t.match(of('select hidden from shown', 20_000, null), ANY_COLUMN);
  t.match(of('select hidden from shown', 20_000, catalogOf(0)), plain, 'newer than what is known');
  t.match(of('select upper(hidden) from shown', 0, null), ANY_COLUMN);
  t.match(of('select one_of(1)', 0, null), ANY_COLUMN);
  t.match(of('select relname as hidden from pg_catalog.pg_class', 1_259, null), plain, "the system's own");
  t.match(of('select version() as hidden', 0, null), plain);
  t.match(of('select one_of(1) as hidden', 0, catalogOf(0)), plain);
});

t.test('a rule for all tables of a schema is for no table of another', async (t) => {
  const [rule] = new ColumnRules([{ schema: 'hr', table: null, column: '*' }]).rules;
  t.equal(rule?.mayMeanTable({ schema: 'hr', name: 'people' }), true);
  t.equal(rule?.mayMeanTable({ schema: null, name: 'people' }), true);
  t.equal(rule?.mayMeanTable({ schema: 'pg_catalog', name: 'pg_class' }), false);
});

t.test('statistics are masked where there is something to be masked', async (t) => {
  const facts = statementFacts(Buffer.from('select most_common_vals from pg_stats'));
  const column = { name: 'most_common_vals', typeOid: 25, tableOid: 50, attribute: 1, format: 0 };
  for (const catalog of [null, catalogOf(0)]) {
    t.ok(rules.anyTouched(facts, catalog));
    t.match(rules.factsOf(column, facts, catalog, false), ANY_COLUMN);
  }
  t.notOk(rules.anyTouched(facts, catalogOf()));
  t.notMatch(rules.factsOf(column, facts, catalogOf(), false), ANY_COLUMN);
});
