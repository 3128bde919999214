/** What an agent hears of Sluice's own question to the database. */
import t from 'tap';
import { ColumnRules } from '#src/protocols/postgres/masking/column-rules.ts';
import { FactsCache } from '#src/protocols/postgres/masking/facts-cache.ts';
import { MaskedSession } from '#src/protocols/postgres/masking/masked-session.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';
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
