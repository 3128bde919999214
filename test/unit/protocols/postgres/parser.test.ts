import t from 'tap';
import { loadParser, parse, STATEMENT_MAX_BYTES } from '#src/protocols/postgres/parser.ts';
import { until } from '#test/support/command.ts';
import { mutate, seededRandom } from '#test/support/splits.ts';

t.test('nothing is read before the parser is there', async (t) => {
  t.throws(() => parse(Buffer.from('SELECT 1')), /not loaded/);
  await loadParser();
  await loadParser();
  t.match(parse(Buffer.from('SELECT 1; SELECT 2')), { kind: 'statements', statements: { length: 2 } });
});

t.test('the text that was read last is not read again, but by what it says', async (t) => {
  const text = Buffer.from('SELECT 1');
  const parsed = parse(text);
  t.equal(parse(Buffer.from('SELECT 1')), parsed);
  // Whoever read it may have written something else where it stood.
  text.write('VACUUM  ');
  t.match(parse(text), { statements: [{ stmt: { VacuumStmt: {} } }] });
  const long = Buffer.from(`SELECT ${'1, '.repeat(8_000)}1`);
  const once = parse(long);
  t.equal(parse(long), once, 'all that look at a long one in turn get what was read once');
  await new Promise(setImmediate);
  t.not(parse(long), once, 'and it is not kept beyond that');
});

t.test('a text without statements has none', async (t) => {
  for (const text of ['', ' ', ';', '-- x', '/* x */']) {
    t.strictSame(parse(Buffer.from(text)), { kind: 'statements', statements: [] }, JSON.stringify(text));
  }
});

t.test('a syntax error has message and position, counted in characters from 1', async (t) => {
  t.strictSame(parse(Buffer.from("SELECT 'ä', 1 1")), {
    kind: 'syntax-error',
    message: 'syntax error at or near "1"',
    position: 15,
  });
});

t.test('what is too long or too deep is refused, and the next text is read as ever', async (t) => {
  t.match(parse(Buffer.alloc(STATEMENT_MAX_BYTES + 1, ' ')), { kind: 'too-complex' });
  const deep = [
    `SELECT ${'1+'.repeat(60_000)}1`,
    `SELECT ${'('.repeat(60_000)}1${')'.repeat(60_000)}`,
    `SELECT ${'(SELECT '.repeat(12_000)}1${')'.repeat(12_000)}`,
    `SELECT ${'- '.repeat(60_000)}1`,
    `SELECT ${'a.'.repeat(60_000)}b`,
    `SELECT ${'CASE WHEN 1=1 THEN '.repeat(6_000)}`,
  ];
  for (const text of [...deep, ...deep]) {
    const { kind } = parse(Buffer.from(text));
    t.not(kind, undefined, text.slice(0, 20));
    // The spare that takes over, or the one that is made when there is none.
    await until('an instance', () => parse(Buffer.from('SELECT 7')).kind === 'statements', 10_000);
    t.match(JSON.stringify(parse(Buffer.from('DROP TABLE t'))), /DropStmt/);
  }
});

t.test('any text gives an answer', async (t) => {
  const random = seededRandom(7);
  const seed = Buffer.from(
    "WITH a AS (SELECT $1::text, E'\\x41', $q$b$q$, U&'\\0041') UPDATE t SET (a, b) = (1, 2)",
  );
  for (let n = 0; n < 3_000; n += 1) {
    const text = Buffer.from(mutate(seed, random).filter((byte) => byte !== 0));
    t.ok(['statements', 'syntax-error', 'too-complex'].includes(parse(text).kind));
  }
});
