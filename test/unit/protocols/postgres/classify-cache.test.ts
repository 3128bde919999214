import t from 'tap';
import { classify } from '#src/protocols/postgres/classify.ts';
import { ClassifyCache } from '#src/protocols/postgres/classify-cache.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';

await loadParser();

t.test('what is remembered is the answer of that very text', async (t) => {
  const cache = new ClassifyCache();
  const first = cache.classify(Buffer.from('SELECT 1'));
  t.equal(cache.classify(Buffer.from('SELECT 1')), first);
  t.not(cache.classify(Buffer.from('SELECT 1 ')), first);
  t.match(cache.classify(Buffer.from('DROP TABLE t')), { operations: [{ verb: 'DROP' }] });
});

t.test('long texts and failures are not kept', async (t) => {
  const cache = new ClassifyCache();
  const long = Buffer.from(`SELECT '${'x'.repeat(3_000)}'`);
  t.not(cache.classify(long), cache.classify(long));
  const wrong = cache.classify(Buffer.from('SELEC'));
  t.equal(cache.classify(Buffer.from('SELEC')), wrong, 'a syntax error is the text’s own');
});

t.test('a text that differs in numbers alone is not read again, and means what it would', async (t) => {
  const cache = new ClassifyCache();
  const first = cache.classify(Buffer.from('SELECT a FROM t WHERE id = 1'));
  t.equal(cache.classify(Buffer.from('SELECT a FROM t WHERE id = 4711')), first);
  const wrong = cache.classify(Buffer.from('SELECT 1 FROM FROM'));
  t.not(cache.classify(Buffer.from('SELECT 100 FROM FROM')), wrong, 'an error says where it is');
});

t.test('remembered or not, every text means the same', async (t) => {
  const texts = [
    'DELETE FROM t WHERE a + ? = a + ?',
    'DELETE FROM t WHERE ? = ?',
    'UPDATE t SET x = ? WHERE id = ? OR ? = ?',
    'DELETE FROM t WHERE id > ? AND NOT id < ?',
    'SELECT float(?) FROM t WHERE x = ?',
    'SELECT x::float(?) FROM t',
    'SELECT lo_export(?, $$f$$)',
    'SET statement_timeout = ?',
    'SET standard_conforming_strings = ?',
    "SELECT set_config('standard_conforming_strings', '?', true)",
    "SELECT set_config('x', '?', true), ?",
    'COPY t TO STDOUT (FORMAT csv, HEADER ?)',
    'SELECT * FROM a ORDER BY ? LIMIT ?; DROP TABLE t?',
    'MERGE INTO t USING s ON t.a + ? = s.a + ? WHEN MATCHED THEN DELETE',
    'SELECT ?; DELETE FROM t WHERE a+? = a+0x2',
    'CREATE TABLE t (a numeric(?, ?) DEFAULT ?)',
    'SELECT a[?:?] FROM t TABLESAMPLE system (?)',
  ];
  const cache = new ClassifyCache();
  for (const text of texts)
    for (const numbers of [
      [1, 1],
      [1, 2],
      [2, 1],
      [2, 2],
      [0, 1],
      [99, 5],
      [5, 99],
      [3000000000, 1],
    ]) {
      let n = 0;
      const filled = Buffer.from(text.replaceAll('?', () => String(numbers[n++ % 2])));
      t.same(cache.classify(filled), classify(filled), filled.toString());
    }
});
