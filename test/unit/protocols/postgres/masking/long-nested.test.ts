/** Arrays and composites in binary that are too long to be held: masked element by element as they pass, whatever the chunks. */
import t from 'tap';
import { cellOf } from '#src/protocols/postgres/masking/cell.ts';
import { valueMaskerOf } from '#test/support/masks.ts';
import { uint32 } from '#test/support/postgres-packets.ts';
import { splitsOf } from '#test/support/splits.ts';

const MASKERS = {
  cards: valueMaskerOf({ detectors: ['card'], action: { kind: 'partial', keepLast: 4 } }),
  whole: valueMaskerOf({ columns: [{ schema: null, table: null, column: 'c' }] }),
  watch: valueMaskerOf({ detectors: ['card'], effect: 'observe' }),
};
type How = keyof typeof MASKERS;

const [INT8, TEXT, INT8S, TEXTS, RECORD, MULTIRANGE, SNAPSHOT, OWN] = [
  20, 25, 1016, 1009, 2249, 4536, 5038, 20_000,
];
const CARD = '4111111111111111';
const MASKED = '************1111';

const int8 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
};
const ZERO = int8(0n);
const NUMBER = int8(BigInt(CARD));
const sized = (bytes: Buffer | null): Buffer =>
  bytes === null ? uint32(0xffff_ffff) : Buffer.concat([uint32(bytes.length), bytes]);
const array = (oid: number, elements: readonly (Buffer | null)[], sizes = [elements.length]): Buffer =>
  Buffer.concat([
    uint32(sizes.length),
    uint32(elements.includes(null) ? 1 : 0),
    uint32(oid),
    ...sizes.flatMap((size) => [uint32(size), uint32(1)]),
    ...elements.map(sized),
  ]);
const record = (...fields: readonly (readonly [oid: number, bytes: Buffer | null])[]): Buffer =>
  Buffer.concat([uint32(fields.length), ...fields.flatMap(([oid, bytes]) => [uint32(oid), sized(bytes)])]);
const text = (value: string): Buffer => Buffer.from(value, 'latin1');

/** What comes out of it, in these pieces. Null: it may not pass. */
function masked(
  typeOid: number,
  how: How,
  value: Buffer,
  chunks: readonly Buffer[] = [value],
): Buffer | null {
  const stream = cellOf({ typeOid, format: 1, masker: MASKERS[how], onHits: () => {} })?.stream(value.length);
  if (stream === null || stream === undefined) return null;
  return Buffer.concat([...chunks.map((chunk) => stream.push(chunk)), stream.end()]);
}

t.test('each element by its type, at the same length', async (t) => {
  const long = 'x'.repeat(70_000);
  const nestedIn = (number: Buffer): Buffer =>
    record([TEXT, text(long)], [INT8S, array(INT8, [...Array<Buffer>(6_000).fill(int8(7n)), number])]);
  const cases: readonly (readonly [string, number, How, Buffer, Buffer])[] = [
    ['numbers', INT8S, 'cards', array(INT8, [int8(1n), NUMBER]), array(INT8, [int8(1n), ZERO])],
    ['NULL', INT8S, 'cards', array(INT8, [null, NUMBER]), array(INT8, [null, ZERO])],
    ['texts', TEXTS, 'cards', array(TEXT, [text(CARD), text('')]), array(TEXT, [text(MASKED), text('')])],
    [
      'two dimensions',
      INT8S,
      'cards',
      array(INT8, [NUMBER, ZERO, ZERO, NUMBER], [2, 2]),
      array(INT8, [ZERO, ZERO, ZERO, ZERO], [2, 2]),
    ],
    ['only observed', INT8S, 'watch', array(INT8, [NUMBER]), array(INT8, [NUMBER])],
    ['numbers, whole', INT8S, 'whole', array(INT8, [int8(1n), int8(2n)]), array(INT8, [ZERO, ZERO])],
    ['texts, whole', TEXTS, 'whole', array(TEXT, [text('ab')]), array(TEXT, [text('**')])],
    [
      'a composite',
      RECORD,
      'cards',
      record([INT8, NUMBER], [TEXT, text(`a ${CARD}`)], [TEXT, null]),
      record([INT8, ZERO], [TEXT, text(`a ${MASKED}`)], [TEXT, null]),
    ],
    ['of a type nobody knows', OWN, 'cards', record([INT8, NUMBER]), record([INT8, ZERO])],
    [
      'an array of it',
      OWN,
      'cards',
      array(OWN, [record([INT8, NUMBER])]),
      array(OWN, [record([INT8, ZERO])]),
    ],
    ['of a type nobody knows, whole', OWN, 'whole', array(INT8, [NUMBER]), array(INT8, [ZERO])],
    ['what is long in it', OWN, 'cards', nestedIn(NUMBER), nestedIn(ZERO)],
    [
      'a long text in it',
      TEXTS,
      'cards',
      array(TEXT, [text(`${long} ${CARD}`)]),
      array(TEXT, [text(`${long} ${MASKED}`)]),
    ],
    ['a text', OWN, 'cards', text(`${CARD} and more of it`), text(`${MASKED} and more of it`)],
    ['a short text', OWN, 'cards', text(CARD), text(MASKED)],
  ];
  for (const [name, typeOid, how, value, expected] of cases)
    for (const split of splitsOf(value, 3).filter(({ chunks }) => chunks.length <= 1_000))
      t.ok(masked(typeOid, how, value, split.chunks)?.equals(expected), `${name}, ${split.name}`);
});

t.test('what cannot be masked so does not pass', async (t) => {
  const numbers = array(INT8, [NUMBER, NUMBER]);
  const deep = (depth: number): Buffer => {
    let value = record([TEXT, text(`${'x'.repeat(66_000)} ${CARD}`)]);
    for (let index = 1; index < depth; index += 1) value = record([RECORD, value]);
    return value;
  };
  const range = Buffer.concat([Buffer.of(0x02), sized(NUMBER), sized(NUMBER)]);
  const cases: readonly (readonly [string, number, How, Buffer])[] = [
    ['a text, whole', OWN, 'whole', text('something that is no array')],
    ['an array that is none', INT8S, 'cards', text(`${CARD} and more of it`)],
    ['an array of more', INT8S, 'cards', Buffer.concat([numbers, ZERO])],
    ['an array of less', INT8S, 'cards', numbers.subarray(0, -12)],
    ['an array cut in an element', INT8S, 'cards', numbers.subarray(0, -2)],
    ['a composite of more', RECORD, 'cards', Buffer.concat([record([INT8, NUMBER], [INT8, NUMBER]), ZERO])],
    ['values in values, too deep', RECORD, 'cards', deep(8)],
    ['a multirange of a type nobody knows', OWN, 'cards', Buffer.concat([uint32(1), sized(range)])],
  ];
  for (const [name, typeOid, how, value] of cases)
    t.throws(() => masked(typeOid, how, value), RangeError, name);
  t.equal(masked(MULTIRANGE, 'cards', Buffer.concat([uint32(1), sized(range)])), null, 'a multirange');
  t.equal(masked(SNAPSHOT, 'cards', Buffer.concat([uint32(0), NUMBER, NUMBER])), null, 'a snapshot');
  t.equal(masked(RECORD, 'cards', deep(6))?.includes(MASKED), true, 'values in values');
});
