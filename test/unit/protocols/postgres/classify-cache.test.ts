import t from 'tap';
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
