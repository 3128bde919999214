/** Values of EXECUTE are for the columns that the statement's parameters are for. */
import t from 'tap';
import { loadParser } from '#src/protocols/postgres/parser.ts';
import { Requests, text } from '#test/support/masked-requests.ts';
import { engineOf, SSN } from '#test/support/masks.ts';
import { message } from '#test/support/postgres-packets.ts';

await loadParser();
const MASKS = [{ ...SSN, direction: 'requests' as const, strict: true }];
const engine = engineOf(MASKS);
const query = (sql: string): Buffer => message('Q', text(sql));
const parse = (sql: string, name: string): Buffer => message('P', text(name), text(sql), Buffer.alloc(2));

t.test('what is executed in SQL is known by all that its name was given', async (t) => {
  const executed = 'execute "S_1" (1, \'a\')';
  const said = (...before: readonly Buffer[]): string => {
    const requests = new Requests(engine, MASKS);
    return requests
      .toServer(...before, query(executed))
      .subarray(Buffer.concat(before).length)
      .toString();
  };
  const masked = query(`execute "S_1" (1, '********')`).toString();
  const insert = 'insert into people (id, ssn) values ($1, $2)';
  t.equal(said(parse(insert, 'S_1')), masked, 'by Parse');
  t.equal(said(query(`prepare "S_1" as ${insert}`)), masked, 'in SQL');
  t.equal(said(parse(insert, 'S_1'), parse('select $1, $2', 'S_1')), masked, 'before it was another');
  t.equal(said(parse('select $1, $2', 'S_1')), query(executed).toString(), 'for no column');
  t.match(said(parse(insert, 's_1')), /sluice_denied/, 'by another name');
  const many = Array.from({ length: 4_097 }, (_, index) => parse('select 1', `n${index}`));
  t.match(said(parse(insert, 'S_1'), ...many), /sluice_denied/, 'more than are remembered');
});
