/** A stream puts out the same however it is cut, as a value does where lengths stay, and so does the other scanner. */
import t from 'tap';
import { MaskEngine } from '#src/mask/engine.ts';
import { makeMasker } from '#src/mask/mask-set.ts';
import type { Masker } from '#src/mask/masker.ts';
import { readCorpus } from '#test/support/mask-corpus.ts';
import { policyOf } from '#test/support/policy-text.ts';
import { regexpScanner } from '#test/support/regexp-scanner.ts';
import { seededRandom, splitsOf, wipe } from '#test/support/splits.ts';

const policy = policyOf(
  `
destinations: [{name: db, cidrs: [10.0.0.1], ports: [5432], protocol: postgres}]
mask_keys: [{name: k1, file: a.key}]
detectors:
  - {name: dense, pattern: '[a-c]{4,9}x'}
  - {name: people, words: [Ada Byron, Grüße]}
masks:
  - {name: stars, destinations: [db], detect: [all, people]}
  - {name: ends, destinations: [db], detect: [all, dense], action: partial, keep_last: 4}
  - {name: hashed, destinations: [db], detect: [all, people], action: hash, key: k1}`,
  { readFile: () => '3f9c1d7be2a84560c9d1e7f3a5b28460' },
);
const engine = new MaskEngine(policy);
const [stars, ends, hashed] = policy.masks.map((mask) => makeMasker(engine, [mask], 'responses'));
const twin = makeMasker(new MaskEngine(policy, regexpScanner), policy.masks.slice(0, 1), 'responses');
if (!stars || !ends || !hashed || !twin) throw new Error('no maskers');

function streamed(masker: Masker, chunks: readonly Buffer[]): { text: Buffer; hits: unknown } {
  const stream = masker.stream();
  const parts: Buffer[] = [];
  for (const chunk of chunks) {
    parts.push(Buffer.from(stream.push(chunk)));
    wipe(chunk);
  }
  parts.push(Buffer.from(stream.end()));
  return { text: Buffer.concat(parts), hits: stream.hits };
}

const masked = (masker: Masker, text: Buffer): Buffer | null => {
  const value = masker.value(text);
  return value === null ? text : value.bytes === null ? null : Buffer.from(value.bytes);
};

const corpus = readCorpus().map(({ text }) => text);

t.test('every text of the corpus, in every split', async (t) => {
  for (const [name, masker] of Object.entries({ stars, ends, hashed })) {
    let same = 0;
    for (const text of corpus) {
      const whole = streamed(masker, [Buffer.from(text)]);
      const isSame = splitsOf(text, 4).every(({ chunks }) => {
        const cut = streamed(masker, chunks);
        return cut.text.equals(whole.text) && JSON.stringify(cut.hits) === JSON.stringify(whole.hits);
      });
      const isAsLong = whole.text.length === text.length;
      const isAsValue = name !== 'stars' || masked(masker, text)?.equals(whole.text) === true;
      if (isSame && isAsLong && isAsValue) same += 1;
      else t.fail(`${name}: ${JSON.stringify(text.toString())}`);
    }
    t.equal(same, corpus.length, name);
  }
});

t.test('texts put together at random, where one thing stands beside another', async (t) => {
  const random = seededRandom(3);
  for (let round = 0; round < 40; round += 1) {
    const parts = Array.from({ length: 12 }, () => {
      const text = corpus[Math.floor(random() * corpus.length)] ?? Buffer.alloc(0);
      // Whole, or without its beginning or end.
      const cut = Math.floor(random() * 3) * Math.floor(random() * text.length);
      return Buffer.concat([text.subarray(cut % (text.length + 1)), Buffer.from(random() < 0.5 ? ' ' : '')]);
    });
    const text = Buffer.concat(parts);
    const whole = streamed(stars, [Buffer.from(text)]).text;
    t.ok(masked(stars, text)?.equals(whole), 'as a value');
    t.ok(
      splitsOf(text, 3, round).every(({ chunks }) => streamed(stars, chunks).text.equals(whole)),
      'in every split',
    );
    t.ok(masked(twin, text)?.equals(whole), 'with the other scanner');
  }
});

t.test('what is held back is bounded', async (t) => {
  for (const unit of ['a', '4', 'eyJhbGciOi', '-----BEGIN PRIVATE KEY-----\n', 'a@a.', 'SSN ', '+49 ']) {
    const stream = stars.stream();
    let held = 0;
    let most = 0;
    for (let i = 0; i < 3_000; i += 1) {
      held += unit.length - stream.push(Buffer.from(unit)).length;
      most = Math.max(most, held);
    }
    t.ok(most <= engine.before + engine.after + 64, `${JSON.stringify(unit)}: ${most} bytes`);
    t.equal(stream.end().length, held);
  }
});

t.test('a text of many pieces is the same as one', async (t) => {
  const text = Buffer.concat(
    Array.from({ length: 600 }, (_, i) => corpus[(i * 37) % corpus.length] ?? Buffer.alloc(0)),
  );
  t.ok(text.length > 20_000, 'more than is scanned at once');
  t.ok(masked(stars, text)?.equals(streamed(stars, [Buffer.from(text)]).text));
});
