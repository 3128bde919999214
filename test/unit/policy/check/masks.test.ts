import t from 'tap';
import { errorsOf, policyOf } from '#test/support/policy-text.ts';

const KEY = '3f9c1d7be2a84560c9d1e7f3a5b28460';
const BASE = `agents: [{name: web, match: [{uid: 1}]}]
destinations:
  - {name: db, cidrs: [10.0.0.1], ports: [5432], protocol: postgres}
  - {name: named, hosts: ["*.db.test"], ports: [5432], protocol: postgres}
  - {name: shop, hosts: [shop.test], protocol: http}
`;
const readFile = (path: string): string => (path.endsWith('/good.key') ? `${KEY}\n` : 'short');
const errors = (text: string): string[] => errorsOf(`${BASE}${text}`, { readFile });
const mask = (text: string, rest = ''): string[] => errors(`masks:\n  - {name: m, ${text}}\n${rest}`);

t.test('everything that can be said arrives', async (t) => {
  const { masks, detectors, maskKeys } = policyOf(
    `${BASE}
masks:
  - {name: least, destinations: [db], detect: [email]}
  - name: most
    agents: [web]
    destinations: [db]
    direction: responses
    detect: [cards, own, card]
    columns: [hr.people.note, people.*, "*_note"]
    types: [text, jsonb]
    action: partial
    keep_last: 4
    effect: observe
  - {name: hashed, destinations: [db], columns: [mail], action: hash, key: k1}
  - {name: gone, destinations: [db], columns: [pin], action: null}
detectors:
  - {name: own, pattern: 'EMP-\\d{6}'}
  - {name: people, words: [Ada Byron]}
mask_keys: [{name: k1, file: good.key}]
`,
    { readFile },
  );
  t.strictSame(masks[0], {
    name: 'least',
    agents: [],
    destinations: ['db'],
    direction: 'responses',
    detectors: ['email'],
    columns: [],
    types: [],
    action: { kind: 'redact' },
    strict: false,
    effect: 'mask',
  });
  t.match(masks[1], {
    agents: ['web'],
    detectors: ['card', 'own'],
    columns: [
      { schema: 'hr', table: 'people', column: 'note' },
      { schema: null, table: 'people', column: '*' },
      { schema: null, table: null, column: '*_note' },
    ],
    types: ['text', 'jsonb'],
    action: { kind: 'partial', keepLast: 4 },
    effect: 'observe',
  });
  t.strictSame(masks[2]?.action, { kind: 'hash', key: 'k1' });
  t.strictSame(masks[3]?.action, { kind: 'null' }, 'as YAML reads it');
  t.strictSame(detectors, [
    { name: 'own', pattern: 'EMP-\\d{6}', words: [], caseSensitive: true },
    { name: 'people', pattern: null, words: ['Ada Byron'], caseSensitive: false },
  ]);
  t.strictSame(maskKeys, [{ name: 'k1', secret: KEY }]);
});

t.test('names that are not there', async (t) => {
  t.match(mask('agents: [wbe], destinations: [dp], detect: [crad]'), [
    /agents\[0\]: there is no agent "wbe"/,
    /destinations\[0\]: there is no destination "dp"/,
    /detect\[0\]: there is no detector "crad" \| did you mean "card"/,
  ]);
  t.match(mask('destinations: [shop], detect: [card]'), [/the values of "shop" are not read/]);
  t.match(mask('destinations: [named], detect: [card]'), [/a mask needs `cidrs` in "named"/]);
  t.match(mask('destinations: [db], detect: [card], action: hash, key: k9'), [/there is no key "k9"/]);
  const one = '{name: m, destinations: [db], detect: [card]}';
  t.match(errors(`masks: [${one}, ${one}]`), [/another mask is named "m"/]);
});

t.test('keys of a mask that would have no effect', async (t) => {
  t.match(mask('destinations: [db]'), [/a mask needs `detect`, `columns` or `types`/]);
  t.match(mask('destinations: [db], detect: [card], action: hash'), [/`action: hash` needs a `key`/]);
  t.match(mask('destinations: [db], detect: [card], action: partial'), [/needs `keep_last`/]);
  t.match(mask('destinations: [db], detect: [card], keep_last: 4'), [
    /`keep_last` has no meaning without `action: partial`/,
  ]);
  t.match(mask('destinations: [db], detect: [card], key: k1', 'mask_keys: [{name: k1, file: good.key}]'), [
    /`key` has no meaning without `action: hash`/,
  ]);
  t.match(mask('destinations: [db], columns: [a], types: [text], direction: both'), [
    /`types` has no meaning in requests/,
  ]);
  t.match(mask('destinations: [db], types: [integer]'), [/has no type "integer" \| it calls it "int4"/]);
  t.equal(mask('destinations: [db], columns: [a.b.c.d]').length, 1);
});

t.test('detectors', async (t) => {
  const detector = (text: string): string[] => errors(`detectors:\n  - {name: d, ${text}}`);
  t.strictSame(detector("pattern: '[A-Z]{3}-\\d{4}'"), []);
  t.match(detector("pattern: 'ab+c'"), [/pattern: the pattern repeats without a bound \(\+\) \| say how/]);
  t.match(detector('words: [ab, " abc", "ab\\0c"]'), [
    /a word has 3 to 128 bytes/,
    /begins or ends with a blank/,
    /holds a NUL/,
  ]);
  t.match(detector('case_sensitive: true'), [/either `pattern` or `words`/]);
  t.match(detector('pattern: abc, words: [abc]'), [/either `pattern` or `words`/]);
  t.match(errors('detectors: [{name: cards, pattern: abc}]'), [/"cards" is built in/]);
  const word = (i: number): string => `w${String(i).padStart(5, '0')}`;
  const words = (from: number): string => Array.from({ length: 6_000 }, (_, i) => word(from + i)).join(', ');
  t.match(errors(`detectors: [{name: a, words: [${words(0)}]}, {name: b, words: [${words(6_000)}]}]`), [
    /there are 12000 words/,
  ]);
});

t.test('keys are read, and never quoted', async (t) => {
  const [error, ...more] = errors('mask_keys: [{name: k1, file: bad.key}]');
  t.match(error, /mask_keys\[0\]\.file: bad\.key holds no key of 32 characters or more \| make one/);
  t.strictSame(more, []);
  t.notMatch(error, /short/);
  t.match(errors('mask_keys: [{name: "k_1", file: good.key}]'), [/is not valid here/]);
});
