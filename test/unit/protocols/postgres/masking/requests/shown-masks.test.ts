import t from 'tap';
import { makeMasker } from '#src/mask/mask-set.ts';
import type { CompiledMask } from '#src/policy/types.ts';
import { ColumnRules } from '#src/protocols/postgres/masking/column-rules.ts';
import { ShownMasks } from '#src/protocols/postgres/masking/requests/shown-masks.ts';
import { ValueMaskers } from '#src/protocols/postgres/masking/requests/value-maskers.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';
import { valuesOf } from '#src/protocols/postgres/shown.ts';
import { CARDS, engineOf, SSN } from '#test/support/masks.ts';
import { message, uint32 } from '#test/support/postgres-packets.ts';

await loadParser();
const CARD = '4111111111111111';

function shownBy(...masks: CompiledMask[]): ShownMasks {
  const masker = makeMasker(engineOf(masks), masks, 'any');
  if (masker === null) throw new Error('no masks');
  return new ShownMasks(new ValueMaskers(masker, new ColumnRules(masks.flatMap(({ columns }) => columns))));
}
const bind = (...values: string[]): Buffer => {
  const given = values.map((value) => Buffer.concat([uint32(value.length), Buffer.from(value)]));
  return message('B', Buffer.from('\0s\0\0\0\0'), Buffer.of(values.length), ...given, Buffer.alloc(2));
};

t.test('masks for answers hide from who approves what is in requests, too', async (t) => {
  const shown = shownBy(CARDS, SSN);
  const text = (sql: string): string | undefined => shown.text(Buffer.from(sql))?.toString();
  t.equal(text('DELETE FROM t WHERE a = 1'), 'DELETE FROM t WHERE a = 1');
  t.equal(text(`DELETE FROM t WHERE c = '${CARD}'`), "DELETE FROM t WHERE c = '************1111'");
  t.notMatch(text("DELETE FROM people WHERE ssn = 'secret'"), /secret/);
  t.equal(shown.text(Buffer.from(`DELETE FROM "${CARD}"`)), null, 'a name cannot be masked');
});

t.test('so are values, by the statement they are for', async (t) => {
  const shown = shownBy(CARDS, SSN);
  const values = (sql: string, ...given: string[]): string[] =>
    valuesOf(shown.bind(bind(...given), Buffer.from(sql), []), []);
  t.strictSame(values('DELETE FROM t WHERE a = $1 AND b = $2', CARD, 'x'), ["'************1111'", "'x'"]);
  const [secret = '', id] = values('DELETE FROM people WHERE ssn = $1 AND id = $2', 'secret', '7');
  t.notMatch(secret, /secret/);
  t.equal(id, "'7'");
  t.throws(() => shown.bind(message('B', Buffer.from('\0s\0')), Buffer.from('SELECT 1'), []), RangeError);
});
