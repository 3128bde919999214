import t from 'tap';
import { MaskEngine } from '#src/mask/engine.ts';
import { makeMasker } from '#src/mask/mask-set.ts';
import type { Masker } from '#src/mask/masker.ts';
import { policyOf } from '#test/support/policy-text.ts';
import { splitsOf, wipe } from '#test/support/splits.ts';

const BASE = `destinations: [{name: db, cidrs: [10.0.0.1], ports: [5432], protocol: postgres}]
mask_keys: [{name: k1, file: a.key}, {name: k2, file: b.key}]
detectors:
  - {name: staff, pattern: '\\bEMP-\\d{6}\\b'}
  - {name: code, pattern: '(?:AB|CDE)[0-9]{2,4}'}
  - {name: people, words: [Ada Byron, Grüße]}
masks:
`;
const readFile = (path: string): string => `${path.slice(-5, -4)}3f9c1d7be2a84560c9d1e7f3a5b28460`;

function maskerOf(...masks: string[]): Masker {
  const lines = masks.map((text, i) => `  - {name: m${i}, destinations: [db], ${text}}\n`);
  const policy = policyOf(`${BASE}${lines.join('')}`, { readFile });
  const masker = makeMasker(new MaskEngine(policy), policy.masks, 'responses');
  if (masker === null) throw new Error('nothing to mask');
  return masker;
}

const bytes = (text: string): Buffer => Buffer.from(text);
const textOf = (masked: Uint8Array | null | undefined): string | null =>
  masked === null || masked === undefined ? null : Buffer.from(masked).toString();
const mask = (masker: Masker, text: string): string | null => {
  const masked = masker.value(bytes(text));
  return masked === null ? text : textOf(masked.bytes);
};
function streamed(masker: Masker, chunks: readonly Buffer[]): string {
  const stream = masker.stream();
  const parts = chunks.map((chunk) => {
    const part = Buffer.from(stream.push(chunk));
    wipe(chunk);
    return part;
  });
  return Buffer.concat([...parts, stream.end()]).toString();
}

const PEM = `-----BEGIN RSA PRIVATE KEY-----\n${'MIIEpAIBAAKCAQEA7bq0\n'.repeat(80)}-----END RSA PRIVATE KEY-----`;
const JWT = `${Buffer.from('{"alg":"HS256","typ":"JWT"}').toString('base64url')}.${Buffer.from('{"sub":"1"}').toString('base64url')}.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg`;

t.test('what detectors find becomes stars', async (t) => {
  const masker = maskerOf('detect: [all]');
  for (const [text, expected] of [
    ['card 4111 1111 1111 1111!', 'card *******************!'],
    ['4111111111111111', '****************'],
    ['4111111111111112', '4111111111111112'],
    ['IBAN GB82 WEST 1234 5698 7654 32.', 'IBAN ***************************.'],
    ['ssn 219-09-9998, mail ann@example.org', 'ssn ***********, mail ***************'],
    [`t=${JWT};`, `t=${'*'.repeat(JWT.length)};`],
    [`${PEM}\nplain`, `${'*'.repeat(PEM.length)}\nplain`],
    ['nothing', 'nothing'],
    ['', ''],
  ] as const) {
    t.equal(mask(masker, text), expected);
  }
});

t.test('custom patterns and words', async (t) => {
  const masker = maskerOf('detect: [staff, code, people]');
  t.equal(mask(masker, 'EMP-123456 EMP-1234567 xEMP-123456'), '********** EMP-1234567 xEMP-123456');
  t.equal(mask(masker, 'AB12 xCDE12345'), '**** x*******5');
  t.equal(mask(masker, 'ada byron, Ada Byrons, Grüße'), '*********, Ada Byrons, *******');
});

t.test('the same output for every split, and as long as what came', async (t) => {
  const text = bytes(`a 4111-1111-1111-1111, ${JWT} ${PEM} ann@example.org EMP-123456 `.repeat(2));
  for (const action of ['', ', action: partial, keep_last: 4', ', action: hash, key: k1', ', action: drop']) {
    const masker = maskerOf(`detect: [all, staff]${action}`);
    const whole = streamed(masker, [Buffer.from(text)]);
    t.equal(whole.length, text.length);
    t.notMatch(whole, /4111-1111|MIIE|EMP-123456/);
    for (const { name, chunks } of splitsOf(text, 10)) t.equal(streamed(masker, chunks), whole, name);
    if (action === '') t.equal(mask(masker, text.toString()), whole, 'and as a value');
  }
});

t.test('actions', async (t) => {
  const text = 'pay 4111 1111 1111 1111 now';
  t.equal(
    mask(maskerOf('detect: [card], action: partial, keep_last: 4'), text),
    'pay **** **** **** 1111 now',
  );
  t.equal(mask(maskerOf('detect: [card], action: drop'), text), 'pay  now');
  t.equal(mask(maskerOf('detect: [card], action: "null"'), text), null);
  const hashed = mask(maskerOf('detect: [card], action: hash, key: k1'), text);
  t.match(hashed, /^pay k1_[a-z2-7]{26} now$/);
  t.equal(
    mask(maskerOf('detect: [card], action: hash, key: k1'), 'pay 4111111111111111 now'),
    hashed,
    'however the card is written',
  );
  t.not(mask(maskerOf('detect: [card], action: hash, key: k2'), text)?.slice(7), hashed?.slice(7));
  t.equal(
    mask(maskerOf('detect: [email], action: partial, keep_last: 3'), 'x@ab.cd'),
    '*****cd',
    'never more than half',
  );
});

t.test('whole values by column and type', async (t) => {
  const masker = maskerOf(
    'columns: [hr.people.name], action: partial, keep_last: 2',
    'types: [bytea], action: "null"',
    'columns: [mail], action: hash, key: k1',
    'columns: [note], detect: [card]',
    'columns: [pin]',
  );
  const column = (name: string, type = 'text', table = 'people') =>
    masker.column({ schema: 'hr', table, column: name, type });
  t.equal(textOf(column('name')?.value(bytes('Ada Byron'))?.bytes), '*** ***on');
  t.strictSame(column('blob', 'bytea')?.value(bytes('x'))?.bytes, null);
  t.match(textOf(column('mail')?.value(bytes('a@b.cd'))?.bytes), /^k1_/);
  t.equal(column('mail')?.digest(bytes('a@b.cd')).length, 32);
  t.equal(textOf(column('pin')?.value(bytes('12'))?.bytes), '********', 'without its length');
  t.equal(column('name', 'text', 'orders'), null);
  t.equal(column('note')?.value(bytes('4111111111111111'))?.hits[0]?.detector, 'card');
  t.equal(masker.value(bytes('4111111111111111')), null, 'nothing is for all text');
});

t.test('who only observes changes nothing, and says so', async (t) => {
  const masker = maskerOf('detect: [card], effect: observe', 'columns: [c], effect: observe');
  const text = bytes('4111111111111111 4111111111111111');
  t.strictSame(masker.value(text), {
    bytes: text,
    hits: [{ rule: 'm0', detector: 'card', observed: true, count: 2 }],
  });
  t.equal(streamed(masker, [Buffer.from(text)]), text.toString());
  const column = masker.column({ schema: null, table: null, column: 'c', type: null });
  t.match(column?.value(bytes('x')), {
    bytes: bytes('x'),
    hits: [{ rule: 'm1', detector: null, observed: true }],
  });
});

t.test('where masks overlap the strictest acts', async (t) => {
  const masker = maskerOf('detect: [card], action: partial, keep_last: 4', 'detect: [cards], action: redact');
  t.equal(mask(masker, '4111111111111111'), '****************');
  t.equal(masker.value(bytes('4111111111111111'))?.hits.length, 2);
});

t.test('cells of many columns at once', async (t) => {
  const masker = maskerOf('detect: [card]', 'columns: [name]');
  const columns = [
    masker.column({ schema: null, table: 't', column: 'x', type: 'text' }),
    masker.column({ schema: null, table: 't', column: 'name', type: 'text' }),
    null,
  ];
  const texts = ['4111111111111111', 'Ada', '4111111111111111', 'none', '', '4111111111111111'];
  const all = bytes(texts.join('\0'));
  const cells = new Uint32Array(3 * texts.length);
  let at = 0;
  for (const [i, text] of texts.entries()) {
    cells.set([at, at + text.length, i % 3], 3 * i);
    at += text.length + 1;
  }
  const masked = masker.cells(all, cells, texts.length, columns);
  t.strictSame(
    masked.map(({ cell, bytes: value }) => [cell, textOf(value)]),
    [
      [0, '****************'],
      [1, '********'],
      [4, '********'],
    ],
  );
});
