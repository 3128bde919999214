/** Values one by one, by type and format: what comes out is masked, and still a value of its type. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Cell, cellOf } from '#src/protocols/postgres/masking/cell.ts';
import { nameOfType } from '#src/protocols/postgres/masking/types.ts';
import { valueMaskerOf } from '#test/support/masks.ts';
import { uint32 } from '#test/support/postgres-packets.ts';
import { splitsOf } from '#test/support/splits.ts';

const MASKERS = {
  cards: valueMaskerOf({ detectors: ['card'], action: { kind: 'partial', keepLast: 4 } }),
  whole: valueMaskerOf({ columns: [{ schema: null, table: null, column: 'c' }] }),
  watch: valueMaskerOf({ detectors: ['card'], effect: 'observe' }),
};
const OIDS = new Map<string, number>();
for (let oid = 1; oid < 5_000; oid += 1) {
  const name = nameOfType(oid);
  if (name !== null) OIDS.set(name, oid);
}
const oidOf = (type: string): number => OIDS.get(type) ?? Number(type);

function cell(type: string, format: number, how: keyof typeof MASKERS): Cell | null {
  return cellOf({ typeOid: oidOf(type), format, masker: MASKERS[how], onHits: () => {} });
}

function show(masked: Uint8Array | null | undefined): string {
  if (masked === undefined) return '=';
  return masked === null ? 'NULL' : Buffer.from(masked).toString('latin1');
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t' };
const said = (written: string): string =>
  written.replace(/\\(.)/g, (_, char: string) => ESCAPES[char] ?? char);

interface Case {
  readonly name: string;
  readonly type: string;
  readonly how: keyof typeof MASKERS;
  readonly value: string;
  readonly expected: string;
}

const file = join(import.meta.dirname, '../../../../fixtures/postgres/masked-values.txt');
const cases = readFileSync(file, 'latin1')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line): Case => {
    const [name = '', type = '', how = '', value = '', expected = ''] = line.split(' | ');
    if (how !== 'cards' && how !== 'whole') throw new Error(line);
    return { name, type, how, value: said(value), expected: said(expected) };
  });

t.test('values in text', async (t) => {
  t.ok(cases.length >= 60);
  for (const { name, type, how, value, expected } of cases) {
    const masked = cell(type, 0, how)?.whole(Buffer.from(value, 'latin1'));
    t.equal(show(masked), expected === value ? '=' : expected, name);
  }
});

const int64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
};
const float64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value);
  return bytes;
};
const int16s = (...values: number[]): Buffer =>
  Buffer.concat(values.map((value) => Buffer.from([(value >> 8) & 0xff, value & 0xff])));
const sized = (value: Buffer | null): Buffer =>
  value === null ? uint32(0xffff_ffff) : Buffer.concat([uint32(value.length), value]);
const array = (type: string, ...elements: (Buffer | null)[]): Buffer =>
  Buffer.concat([
    uint32(1),
    uint32(elements.includes(null) ? 1 : 0),
    uint32(oidOf(type)),
    uint32(elements.length),
    uint32(1),
    ...elements.map(sized),
  ]);
const record = (...fields: [type: string, value: Buffer | null][]): Buffer =>
  Buffer.concat([
    uint32(fields.length),
    ...fields.flatMap(([type, value]) => [uint32(oidOf(type)), sized(value)]),
  ]);
const text = (value: string): Buffer => Buffer.from(value, 'latin1');
/** From that on, without end. */
const range = (lower: Buffer): Buffer => Buffer.concat([text('\x12'), sized(lower)]);
const CARD = 4111111111111111n;
/** Digits to the base of 10,000: how many, weight, sign, scale, the digits. */
const NUMERIC_CARD = int16s(4, 3, 0, 0, 4111, 1111, 1111, 1111);

t.test('values in binary', async (t) => {
  const cases: [string, string, keyof typeof MASKERS, Buffer, Buffer | null | '='][] = [
    ['text', 'text', 'cards', text('by 4111111111111111'), text('by ************1111')],
    ['text that is masked whole', 'text', 'whole', text('x'), text('********')],
    ['bigint that is a card', 'int8', 'cards', int64(CARD), null],
    ['bigint that is none', 'int8', 'cards', int64(5n), '='],
    ['bigint that is masked whole', 'int8', 'whole', int64(5n), null],
    ['negative bigint', 'int8', 'cards', int64(-CARD), null],
    ['integer', 'int4', 'cards', uint32(7), '='],
    ['numeric that is a card', 'numeric', 'cards', NUMERIC_CARD, null],
    ['numeric that is none', 'numeric', 'cards', int16s(1, 0, 0, 0, 7), '='],
    ['numeric with a fraction', 'numeric', 'cards', int16s(2, 0, 0x4000, 2, 1, 5000), '='],
    ['numeric that is not a number', 'numeric', 'cards', int16s(0, 0, 0xc000, 0), '='],
    ['float that is a card', 'float8', 'cards', float64(4111111111111111), null],
    ['date', 'date', 'cards', uint32(7306), '='],
    ['date that is masked whole', 'date', 'whole', uint32(7306), null],
    ['uuid', 'uuid', 'cards', Buffer.alloc(16, 0x41), '='],
    ['uuid that is none', 'uuid', 'cards', text(' 4111111111111111 '), null],
    ['bytea', 'bytea', 'cards', text('\0 4111111111111111'), text('\0 ************1111')],
    ['json', 'json', 'cards', text('{"a":4111111111111111}'), text('{"a":null}')],
    ['jsonb', 'jsonb', 'cards', text('\x01{"a":"4111111111111111"}'), text('\x01{"a":"************1111"}')],
    ['jsonb of a later version', 'jsonb', 'cards', text('\x02 4111111111111111'), null],
    ['jsonb that is masked whole', 'jsonb', 'whole', text('\x01[1]'), text('\x01"********"')],
    [
      'array of texts',
      '_text',
      'cards',
      array('text', text('a'), null, text('4111111111111111')),
      array('text', text('a'), null, text('************1111')),
    ],
    [
      'array of numbers',
      '_int8',
      'cards',
      array('int8', int64(1n), int64(CARD)),
      array('int8', int64(1n), null),
    ],
    ['array without', '_int8', 'cards', array('int8', int64(1n)), '='],
    ['array of nothing', '_text', 'whole', Buffer.concat([uint32(0), uint32(0), uint32(25)]), '='],
    ['array that is masked whole', '_date', 'whole', array('date', uint32(1)), array('date', null)],
    [
      'composite',
      'record',
      'cards',
      record(['int4', uint32(1)], ['text', text('4111111111111111')], ['int8', int64(CARD)], ['text', null]),
      record(['int4', uint32(1)], ['text', text('************1111')], ['int8', null], ['text', null]),
    ],
    [
      'composite in an array in a composite',
      'record',
      'cards',
      record(['_record', array('record', record(['text', text('4111111111111111')]))]),
      record(['_record', array('record', record(['text', text('************1111')]))]),
    ],
    ['composite of a user', '20000', 'cards', record(['int8', int64(CARD)]), record(['int8', null])],
    [
      'array of a user',
      '20000',
      'cards',
      array('20001', text('4111111111111111')),
      array('20001', text('************1111')),
    ],
    ['text of a user', '20000', 'cards', text('4111111111111111'), text('************1111')],
    ['a number nobody knows of', '20000', 'cards', int64(CARD), null],
    ['a numeric nobody knows of', '20000', 'cards', NUMERIC_CARD, null],
    ['bytes nobody knows', '20000', 'cards', text('\0\x01 4111111111111111'), null],
    ['bytes nobody knows without', '20000', 'cards', text('\0\x01\x02'), '='],
    ['bytes nobody knows that are masked whole', '20000', 'whole', text('\0\x01\x02'), null],
    ['lexemes', 'tsvector', 'cards', text('\0\0\0\x02a\0\0\x01\x0044111111111111111\0\0\0'), null],
    ['lexemes without', 'tsvector', 'cards', text('\0\0\0\x01a\0\0\0'), '='],
    ['search for lexemes', 'tsquery', 'cards', text('\0\0\0\x01\x01\0\x004111111111111111\0'), null],
    ['range', 'int8range', 'cards', range(int64(CARD)), null],
    ['range without', 'int8range', 'cards', range(int64(7n)), '='],
    ['range without bounds', 'int8range', 'cards', text('\x18'), '='],
    ['range that is masked whole', 'int8range', 'whole', range(int64(7n)), null],
    ['range of times, which are no cards', 'tsrange', 'cards', range(int64(CARD)), '='],
    ['multirange', '4536', 'cards', Buffer.concat([uint32(1), sized(range(int64(CARD)))]), null],
    ['multirange of nothing', '4536', 'cards', uint32(0), '='],
    ['range of a user', '20000', 'cards', range(NUMERIC_CARD), null],
    [
      'array of ranges',
      '_int8range',
      'cards',
      array('int8range', range(int64(CARD))),
      array('int8range', null),
    ],
    ['array of any type', 'anyarray', 'cards', array('int8', int64(CARD)), array('int8', null)],
    ['snapshot', '5038', 'cards', Buffer.concat([uint32(0), int64(CARD), int64(CARD)]), null],
    ['transaction', 'xid8', 'cards', int64(CARD), null],
    ['type nobody thought of', '5', 'cards', text('\0\x01 4111111111111111'), null],
    ['place, which is not looked at', 'point', 'cards', text('4111111111111111'), '='],
    [
      'bytes with a length before a value that is a digit',
      '20000',
      'cards',
      Buffer.concat([text('\x01a'), sized(text(`4111111111111111 ${'x'.repeat(35)}`))]),
      null,
    ],
    ['an array that is none', '_text', 'cards', text('\0\0\0\x01 4111111111111111'), null],
  ];
  for (const [name, type, how, value, expected] of cases) {
    const masked = cell(type, 1, how)?.whole(value);
    t.equal(show(masked), expected === '=' ? '=' : show(expected), name);
  }
});

t.test('where the length is said already, a value of the same length and type stands in', async (t) => {
  const cases: [string, number, keyof typeof MASKERS, Buffer, string | null][] = [
    ['text', 0, 'cards', text('by 4111111111111111'), 'by ************1111'],
    ['text', 0, 'whole', text('ab'), '**'],
    ['int8', 0, 'whole', text('-123'), '-111'],
    ['date', 0, 'whole', text('2020-01-02'), '1111-11-11'],
    ['float8', 0, 'whole', text('Infinity'), 'Infinity'],
    [
      'uuid',
      0,
      'whole',
      text('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'),
      '11111111-1111-1111-1111-111111111111',
    ],
    ['json', 0, 'whole', text('{"a":1}'), '"*****"'],
    ['json', 0, 'whole', text('7'), '0'],
    ['bytea', 0, 'whole', text('\\xdead'), '\\x2a2a'],
    ['_text', 0, 'whole', text('{a,"b c"}'), '{*,"***"}'],
    ['_int4', 0, 'whole', text('{12,NULL}'), '{11,NULL}'],
    ['int4', 1, 'whole', uint32(77), '\0\0\0\0'],
    ['numeric', 1, 'whole', int16s(1, 0, 0, 0, 7), int16s(1, 0, 0, 0, 0).toString('latin1')],
    ['jsonb', 1, 'whole', text('\x01[1]'), '\x01"*"'],
    ['inet', 1, 'whole', text('\x02\x20\0\x04\x0a\0\0\x01'), '\x02\x20\0\x04\0\0\0\0'],
    ['_int4', 1, 'whole', array('int4', uint32(7)), array('int4', uint32(0)).toString('latin1')],
    ['record', 1, 'whole', record(['text', text('ab')]), record(['text', text('**')]).toString('latin1')],
    ['20000', 1, 'whole', text('\0\x01\x02'), null],
    ['tsvector', 1, 'whole', text('\0\0\0\x01'), null],
  ];
  for (const [type, format, how, value, expected] of cases) {
    const masked = cell(type, format, how)?.sameLength(value);
    t.equal(masked === null ? null : show(masked), expected, `${type} ${value.toString('latin1')}`);
  }
});

t.test('values too long to be held are masked as they come, whatever the chunks', async (t) => {
  const long = `${'x'.repeat(500)} 4111111111111111 ${'y'.repeat(500)}`;
  const masked = `${'x'.repeat(500)} ************1111 ${'y'.repeat(500)}`;
  const hex = (value: string): string => `\\x${text(value).toString('hex')}`;
  const stars = (length: number): string => '*'.repeat(length);
  const cases: [string, number, keyof typeof MASKERS, string, string | null][] = [
    ['text', 0, 'cards', long, masked],
    ['text', 1, 'cards', long, masked],
    ['text', 0, 'whole', long, stars(long.length)],
    ['bytea', 0, 'cards', hex(long), hex(masked)],
    ['bytea', 0, 'cards', long, masked],
    ['bytea', 0, 'whole', hex(long), hex(stars(long.length))],
    ['bytea', 1, 'whole', long, stars(long.length)],
    ['jsonb', 1, 'cards', `\x01"${long}"`, `\x01"${masked}"`],
    ['jsonb', 1, 'whole', `\x01"${long}"`, `\x01"${stars(long.length)}"`],
    ['json', 0, 'whole', `[${long}]`, `"${stars(long.length)}"`],
    ['_text', 0, 'whole', `{"a b",${'x'.repeat(99)}}`, `{"***",${stars(99)}}`],
    ['20000', 1, 'cards', long, masked],
  ];
  for (const [type, format, how, value, expected] of cases) {
    for (const { name, chunks } of splitsOf(text(value), 4)) {
      const stream = cell(type, format, how)?.stream(value.length) ?? null;
      const out = stream === null ? null : [...chunks.map((chunk) => stream.push(chunk)), stream.end()];
      t.equal(out === null ? null : show(Buffer.concat(out)), expected, `${type} ${format} ${how} ${name}`);
    }
  }
});

t.test('what is only observed stays as it is, be it a number', async (t) => {
  for (const type of ['text', 'int8', 'numeric', 'jsonb', '_int8', '20000'])
    t.equal(show(cell(type, 0, 'watch')?.whole(text('4111111111111111'))), '=', type);
});
