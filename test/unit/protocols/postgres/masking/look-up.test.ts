/** What an agent hears of Sluice's own question to the database. */
import t from 'tap';
import { Catalog } from '#src/protocols/postgres/masking/catalog.ts';
import { ColumnRules } from '#src/protocols/postgres/masking/column-rules.ts';
import { FactsCache } from '#src/protocols/postgres/masking/facts-cache.ts';
import { MaskedSession } from '#src/protocols/postgres/masking/masked-session.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';
import { complete, description, Keeper, query, row, started, text } from '#test/support/masked-answers.ts';
import { CARDS, maskerOf, SSN } from '#test/support/masks.ts';
import { authentication, message } from '#test/support/postgres-packets.ts';
import { splitsOf } from '#test/support/splits.ts';

await loadParser();
const cache = new FactsCache();
const ready = message('Z', Buffer.from('I'));

function failure(...fields: readonly string[]): Buffer {
  return message('E', ...fields.map((field) => Buffer.from(`${field}\0`)), Buffer.alloc(1));
}

/** A session whose question to the database is on its way. */
function asking(): MaskedSession {
  const columns = new ColumnRules(SSN.columns);
  const session = new MaskedSession({
    startupBytes: 0,
    masker: maskerOf(CARDS, SSN),
    columns,
    factsOf: cache.factsOf,
    onHits: () => {},
    keeper: {
      current: () => null,
      isDue: () => true,
      keep: () => {},
      expire: () => {},
      failed: () => {},
      mayAskAgain: () => true,
    },
  });
  session.toAgent.push(Buffer.concat([authentication(0), ready]));
  if (session.questions().length !== 1) throw new Error('nothing was asked');
  return session;
}

t.test('the end of a session during the look-up is told', async (t) => {
  const told = [
    failure('SFATAL', 'VFATAL', 'C57P01', 'Mterminating connection due to administrator command'),
    failure('SSCHWERWIEGEND', 'VFATAL', 'C57P01', 'Mbeendet'),
    failure('SPANIC', 'C58030', 'Mno space'),
  ];
  for (const said of told) {
    for (const { name, chunks } of splitsOf(Buffer.concat([message('1'), said]), 5)) {
      const session = asking();
      t.same(Buffer.concat(chunks.flatMap((chunk) => session.toAgent.push(chunk))), said, name);
    }
  }
});

t.test('what it says is masked', async (t) => {
  const session = asking();
  const said = failure('SFATAL', 'VFATAL', 'C53300', 'Mof 4111111111111111', 'Dno more');
  const heard = Buffer.concat(session.toAgent.push(said)).toString('latin1');
  t.match(heard, /Mof \*{12}1111\0/);
});

t.test('an error of the statement alone is no matter of the agent', async (t) => {
  for (const said of [
    failure('SERROR', 'VERROR', 'C42501', 'Mno'),
    failure('SFATAL', 'VERROR', 'C42501', 'Mno'),
  ]) {
    const session = asking();
    t.same(Buffer.concat(session.toAgent.push(Buffer.concat([said, ready]))), ready);
  }
});

/** What a session with a look-up in an open transaction hears; `people` is table 100. */
async function changing(answer: readonly Buffer[], status = 'T') {
  const keeper = new Keeper();
  keeper.due = false;
  const meant = { rule: 0, tableOid: 100, attribute: 1, schema: 'public', table: 'people', column: 'ssn' };
  keeper.known = new Catalog(new ColumnRules(SSN.columns).rules, 200, [{ ...meant, columns: ['ssn'] }]);
  const before = keeper.known;
  const { session, toAgent, toServer } = started([SSN], keeper);
  const inside = message('Z', Buffer.from('T'));
  toServer(query('begin'));
  toAgent(complete, inside);
  toServer(query('create table n (a int); select x, y from other'));
  const other = description({ name: 'x', table: 100 }, { name: 'y', table: 101 }, { name: 'z' });
  const rows = [other, row('1', '2', '3'), complete];
  const atOnce = toAgent(complete, ...rows, inside);
  const asked = Buffer.concat(session.questions()).toString('latin1');
  const after = toAgent(...answer, message('Z', Buffer.from(status)));
  toServer(query('select x, y from other'));
  const later = toAgent(...rows, inside);
  const isShared = keeper.known !== before;
  // Somebody else has asked meanwhile.
  keeper.due = false;
  toServer(query('rollback'));
  const end = toAgent(complete, ready);
  return { atOnce, asked, after, later, isShared, end, again: session.questions().length };
}

const DONE = [message('1'), message('2'), complete, message('3'), message('3')];
const ANSWER = [message('1'), message('2'), row('0', '300', '0', '', '', null, null), ...DONE.slice(2)];

t.test('tables that a transaction changes are looked up inside of it, for itself alone', async (t) => {
  const inside = message('Z', Buffer.from('T'));
  const { atOnce, asked, after, later, isShared, end, again } = await changing([
    ...DONE,
    inside,
    ...ANSWER,
    inside,
    ...DONE,
    inside,
    ...DONE,
  ]);
  t.equal(
    atOnce,
    'C SELECT 1  T D ********|********|******** C SELECT 1 ',
    'before it nothing is known, and all is masked',
  );
  const texts = [...asked.matchAll(/P....sluice_look_up_[0-9a-f]{24}\0\n?(\w+)/gs)].map(([, word]) => word);
  t.strictSame(texts, ['savepoint', 'with', 'rollback', 'release']);
  t.notMatch(asked, /B....\0/s, 'no portal of the agent is replaced');
  t.equal(after, 'Z', 'only its end is told');
  t.equal(later, 'T D ********|2|3 C SELECT 1  Z', 'a column that has another name by now is still meant');
  t.notOk(isShared);
  t.equal(end, 'C SELECT 1 ');
  t.equal(again, 1, 'it may have been undone');
});

t.test('without an answer there the rest of the transaction is masked, and goes on', async (t) => {
  const inside = message('Z', Buffer.from('T'));
  const error = message('E', text('SERROR'), text('C57014'), text('Mtoo slow'), Buffer.alloc(1));
  const { after, later, isShared, again } = await changing([
    ...DONE,
    inside,
    message('1'),
    error,
    inside,
    ...DONE,
    inside,
    ...DONE,
  ]);
  t.equal(after, 'Z');
  t.equal(later, 'T D ********|********|******** C SELECT 1  Z', 'and it is not asked twice');
  t.notOk(isShared);
  t.equal(again, 1);
});

t.test('where the transaction is lost to it the agent hears why, at once', async (t) => {
  const inside = message('Z', Buffer.from('T'));
  const failed = message('Z', Buffer.from('E'));
  const errorOf = (code: string): Buffer =>
    message('E', text('SERROR'), text(`C${code}`), text('Mof 4111111111111111'), Buffer.alloc(1));
  const aborted = [errorOf('25P02'), failed];
  const { after } = await changing([errorOf('57014'), failed, ...aborted, ...aborted, errorOf('25P02')], 'E');
  t.match(after, /^E.*57014.* Z$/, 'the first error, which is what came between');
  t.notMatch(after, '25P02');
  const late = await changing([...DONE, inside, ...ANSWER, inside, ...DONE, inside, errorOf('57014')], 'E');
  t.match(late.after, /^E.*57014.* Z$/);
});
