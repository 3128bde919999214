/** What a server says in words. */
import t from 'tap';
import { NoticeMasker } from '#src/protocols/postgres/masking/notices.ts';
import { CARDS, maskerOf } from '#test/support/masks.ts';
import { message, uint32 } from '#test/support/postgres-packets.ts';

const notices = new NoticeMasker(maskerOf(CARDS), () => {});
const CARD = '4111111111111111';
const text = (value: string): Buffer => Buffer.from(`${value}\0`);
const error = (...fields: string[]): Buffer => message('E', ...fields.map(text), Buffer.alloc(1));
const show = (bytes: Buffer | null): string | null =>
  bytes?.toString('latin1', 5).replaceAll('\0', ' ') ?? null;

t.test('every field of an error is looked into, but for those by which clients go', async (t) => {
  t.equal(
    notices.notice(error('SERROR', 'VERROR', 'C22023', 'P7', 'L12', 'Mnothing', 'nc_4111'), 'none'),
    null,
  );
  const all = [...'MDHqWstcdnFRSVCPpL'];
  const fields = all.map((type) => `${type}a ${CARD} b`);
  const masked = all.map((type) => `${type}a ************1111 b`).join(' ');
  const out = notices.notice(error(...fields), 'none');
  t.equal(show(out), `${masked}  `);
  t.equal(out?.readUInt32BE(1), (out?.length ?? 0) - 1);
});

t.test('what may quote a value of a masked column is withheld', async (t) => {
  const said = (code: string, guard: 'details' | 'all'): string =>
    show(notices.notice(error('SERROR', `C${code}`, 'Mm', 'Dd', 'Hh', 'Ww', 'qq'), guard)) ?? 'as it is';
  t.match(said('22P02', 'all'), /^SERROR C22P02 Mwithheld.* Dwithheld.* Hwithheld.* Wwithheld.* qwithheld/);
  t.match(said('P0001', 'all'), /Mwithheld/);
  t.match(said('00000', 'all'), /Mwithheld/, 'a notice of code');
  t.match(said('23505', 'all'), /^SERROR C23505 Mm Dwithheld/, 'a constraint is named');
  t.match(said('23505', 'details'), /^SERROR C23505 Mm Dwithheld/);
  t.match(said('44000', 'details'), /^SERROR C44000 Mm Dwithheld/, 'the check option of a view');
  t.equal(said('22P02', 'details'), 'as it is', 'the statement did not touch the column');
  t.equal(said('42703', 'all'), 'as it is', 'what is wrong with a text is no value');
  t.equal(said('40P01', 'all'), 'as it is');
});

t.test(
  'what code of the database says is withheld in every field in which it may say anything',
  async (t) => {
    const fields = [...'MDHWqstcdn'].map((type) => `${type}078-05-1120`);
    const said = (code: string): string =>
      show(notices.notice(error('SERROR', `C${code}`, ...fields, 'P7', 'Fpl_exec.c'), 'code')) ?? 'as it is';
    t.match(said('40001'), /^SERROR C40001 .* P7 Fpl_exec\.c {2}$/);
    t.notMatch(said('40001'), /078/);
    t.match(said('07805'), /^SERROR CP0001 /, 'five digits of a value are no state');
    t.match(said('230011'), /^SERROR CP0001 /);
  },
);

t.test('notifications and parameters', async (t) => {
  const told = (payload: string) => notices.notification(message('A', uint32(7), text('c'), text(payload)));
  t.equal(told('nothing'), null);
  t.equal(show(told(`see ${CARD}`)), '\x07c see ************1111 '.replace('\x07', '   \x07'));
  const named = notices.notification(message('A', uint32(7), text(CARD), text('')));
  t.ok(show(named)?.endsWith('\x07************1111  '), 'the channel');
  const parameter = (name: string, value: string) => notices.parameter(message('S', text(name), text(value)));
  t.equal(show(parameter('application_name', CARD)), 'application_name ************1111 ');
  t.equal(show(parameter('TimeZone', `<${CARD}>+5`)), 'TimeZone <************1111>+5 ');
  t.equal(parameter('server_version', CARD), null, 'clients go by it');
});

t.test('what has no end is refused', async (t) => {
  t.throws(() => notices.notice(message('E', text('Mx')), 'none'), RangeError);
  t.throws(() => notices.notice(message('E', Buffer.from('Mx')), 'none'), RangeError);
  t.throws(() => notices.notification(message('A', uint32(7), text('c'), Buffer.from('x'))), RangeError);
  t.throws(() => notices.parameter(message('S', text('a'), text('b'), text('c'))), RangeError);
});

t.test('a text that is longer than a value', async (t) => {
  const long = 'x'.repeat(300_000);
  t.equal(show(notices.notice(error(`M${long} ${CARD}`), 'none')), `M${long} ************1111  `);
});
