/** What was prepared in a session may come out of a later statement, where it can have touched a column that is meant. */
import t from 'tap';
import { Catalog, type MeantColumn } from '#src/protocols/postgres/masking/catalog.ts';
import { ColumnRules } from '#src/protocols/postgres/masking/column-rules.ts';
import { Exchange } from '#src/protocols/postgres/masking/exchange.ts';
import { LookUp } from '#src/protocols/postgres/masking/look-up.ts';
import { Names } from '#src/protocols/postgres/masking/names.ts';
import { statementFacts } from '#src/protocols/postgres/masking/touch.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';
import { SSN } from '#test/support/masks.ts';

await loadParser();
const columns = new ColumnRules(SSN.columns);
const { rules } = columns;
const own = {
  rule: 0,
  tableOid: 10,
  attribute: 2,
  schema: 'public',
  table: 'people',
  column: 'ssn',
  columns: [],
};

/** A session with a database that has these columns, and a function `f`; null: it was not asked. */
function namesOf(meant: readonly MeantColumn[] | null): Names {
  const known = meant === null ? null : new Catalog(rules, 100, meant, new Set(['f']));
  const keeper = {
    current: () => known,
    isDue: () => false,
    keep: () => {},
    expire: () => {},
    failed: () => {},
    mayAskAgain: () => true,
  };
  const lookUp = new LookUp({
    rules,
    exchange: new Exchange(),
    keeper,
    mayWrite: () => false,
    write: () => {},
  });
  return new Names(columns, lookUp);
}

/** Whether it lasts, after these were run. */
function lasting(meant: readonly MeantColumn[] | null, ...statements: string[]): boolean {
  const names = namesOf(meant);
  for (const sql of ['prepare p as select 1', ...statements]) names.ran(statementFacts(Buffer.from(sql)));
  return names.mayShow(statementFacts(Buffer.from('execute p')), null);
}

t.test('what touches a meant column and is prepared or declared lasts', async (t) => {
  t.ok(lasting([own], 'prepare p as select upper(ssn) from people'));
  t.ok(lasting([own], 'declare c cursor for select ssn from people'));
  t.notOk(lasting([own], 'select ssn from people'));
  t.notOk(lasting([own], 'prepare p as select 1'));
});

t.test(
  'what was parsed by the protocol may come out of EXECUTE and FETCH, and of nothing else',
  async (t) => {
    const names = new Names(columns, null);
    const says = (sql: string) => names.mayShow(statementFacts(Buffer.from(sql)), null);
    names.parsed('a', statementFacts(Buffer.from('select 1')));
    t.notOk(says('execute a'));
    names.parsed('b', statementFacts(Buffer.from('select upper(ssn) from people')));
    t.ok(says('execute b'));
    t.ok(says('fetch all from b'));
    t.notOk(says('select count(*) from t'));
    t.notOk(names.mayShow(statementFacts(Buffer.from('select count(*) from t')), 'c'));
    t.ok(names.mayShow(null, 'c'), 'a name nobody knows');
    t.ok(names.touched(statementFacts(Buffer.from('execute b'))), 'so may its errors');
  },
);

t.test('a name that nobody was seen to give may be of anything', async (t) => {
  const shows = (meant: readonly MeantColumn[], used: string, ...before: string[]): boolean => {
    const names = namesOf(meant);
    for (const sql of before) names.ran(statementFacts(Buffer.from(sql)));
    return names.mayShow(statementFacts(Buffer.from(used)), null);
  };
  t.ok(shows([own], 'execute p'));
  t.ok(shows([own], 'fetch all c', 'prepare p as select 1'));
  t.notOk(shows([own], 'execute p', 'prepare p as select 1'));
  t.notOk(shows([own], 'fetch all c', 'declare c cursor for select 1'));
  t.notOk(shows([], 'fetch all c'), 'where there is nothing that is meant');
});

t.test('a function of the database may have given a name to something else', async (t) => {
  const names = namesOf([own]);
  const indirect = statementFacts(Buffer.from('fetch all c'));
  const plain = statementFacts(Buffer.from('select 1'));
  for (const sql of ['declare c cursor for select 1', 'select lower(x) from t'])
    names.ran(statementFacts(Buffer.from(sql)));
  t.notOk(names.mayShow(indirect, null));
  names.ran(statementFacts(Buffer.from('select f()')));
  t.ok(names.mayShow(indirect, null));
  t.ok(names.mayShow(plain, 'c'), 'of a portal with a name');
  t.notOk(names.mayShow(plain, ''), 'of the one without');
  t.notOk(names.mayShow(plain, null));
});

t.test('what is known of statements is bounded by the size of their texts', async (t) => {
  const names = new Names(columns, null);
  const facts = statementFacts(Buffer.from('select 1'));
  names.parsed('a', facts, 100);
  names.bound('p', 'a');
  t.equal(names.factsOfStatement('a'), facts);
  for (let count = 0; count < 20; count += 1) names.parsed(`b${count}`, facts, 131_072);
  t.equal(names.factsOfStatement('a'), null);
  t.equal(names.factsOf('p'), null);
});

t.test('code lasts, but for a database that has no such column', async (t) => {
  t.ok(lasting(null, 'do $$ begin end $$'));
  t.ok(lasting([own], 'do $$ begin end $$'));
  t.notOk(lasting([], 'do $$ begin end $$', 'do $$ begin end $$'));
  t.ok(lasting([], 'create table people (ssn text)', 'prepare p as select upper(ssn) from people'));
  t.ok(lasting([], 'not sql'), 'nobody knows what it is');
});
