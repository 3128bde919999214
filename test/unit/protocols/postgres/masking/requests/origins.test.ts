/** What cannot be followed to its end. What can be is in test/fixtures/postgres/masked-statements.txt. */
import t from 'tap';
import { loadParser } from '#src/protocols/postgres/parser.ts';
import { Requests, text } from '#test/support/masked-requests.ts';
import { engineOf, SSN } from '#test/support/masks.ts';
import { message } from '#test/support/postgres-packets.ts';

await loadParser();
const MASKS = [{ ...SSN, direction: 'requests' as const, strict: true }];
const engine = engineOf(MASKS);
const query = (sql: string): Buffer => message('Q', text(sql));

t.test('what leads on and on is refused where a column is meant', async (t) => {
  const of = (sql: string): string => new Requests(engine, MASKS).toServer(query(sql)).toString('latin1');
  const chain = `${'1 + '.repeat(1_500)}1`;
  t.match(of(`select ${chain}; update people set ssn = 'a'`), /sluice_denied/);
  t.match(of(`select ${chain} from others`), /others/);
  const stars = `select ${Array(2_000).fill('*').join(', ')} from (values ('a', 1)) v`;
  t.match(of(`insert into people (id, ssn) ${stars}`), /sluice_denied/);
  const deep = (depth: number): string =>
    `insert into people (ssn) ${'select * from ('.repeat(depth)}values ('a')${') v'.repeat(depth)}`;
  t.match(of(deep(20)), /\*{8}/);
  t.match(of(deep(100)), /sluice_denied/);
});
