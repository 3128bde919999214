import t from 'tap';
import { valuesOf } from '#src/protocols/postgres/shown.ts';
import { message, uint32 } from '#test/support/postgres-packets.ts';

const uint16 = (value: number): Buffer => Buffer.from([value >> 8, value & 255]);
function bind(formats: readonly number[], values: readonly (Buffer | null)[]): Buffer {
  const given = values.map((value) =>
    value === null ? uint32(0xffff_ffff) : Buffer.concat([uint32(value.length), value]),
  );
  const codes = formats.map(uint16);
  return message(
    'B',
    Buffer.from('portal\0name\0'),
    uint16(formats.length),
    ...codes,
    uint16(values.length),
    ...given,
    uint16(0),
  );
}

t.test('texts as they are, others as far as their type is known, or their bytes', async (t) => {
  const texts = [Buffer.from('it is'), null, Buffer.from('42')];
  t.strictSame(valuesOf(bind([], texts), []), ["'it is'", 'NULL', "'42'"]);
  t.strictSame(valuesOf(bind([0], texts), [23]), ["'it is'", 'NULL', "'42'"]);
  const four = uint32(42);
  t.strictSame(
    valuesOf(bind([1], [four, four, Buffer.from('ä'), Buffer.of(1), Buffer.alloc(40)]), [23, 0, 25, 16, 17]),
    ['42', '\\x0000002a (as a number: 42)', "'ä'", 'true', '40 bytes'],
  );
  t.strictSame(valuesOf(bind([0, 1], [Buffer.from('1'), four]), [0, 23]), ["'1'", '42']);
});

t.test('what has no type is shown in its bytes, and as what it may be', async (t) => {
  const array = (oid: number, ...elements: Buffer[]): Buffer =>
    Buffer.concat([
      ...[1, 0, oid, elements.length, 1].map(uint32),
      ...elements.flatMap((element) => [uint32(element.length), element]),
    ]);
  const numbers = array(23, uint32(1), uint32(2));
  const shown = (value: Buffer, type = 0): string | undefined => valuesOf(bind([1], [value]), [type])[0];
  t.equal(shown(Buffer.from('a-z')), "\\x612d7a (as text: 'a-z')");
  t.equal(shown(Buffer.from('abcd')), "\\x61626364 (as text: 'abcd', as a number: 1633837924)");
  t.equal(shown(Buffer.from('x'.repeat(100))), `100 bytes (as text: '${'x'.repeat(80)}'… (100 bytes))`);
  t.equal(shown(Buffer.from([0, 0, 0, 0, 0, 0, 0, 7])), '\\x0000000000000007 (as a number: 7)');
  t.equal(shown(Buffer.from([0xff, 0xfe, 0xfd])), '\\xfffefd');
  t.equal(shown(Buffer.alloc(0)), '\\x');
  t.equal(shown(numbers), '36 bytes (as an array: {1,2})');
  t.equal(shown(numbers, 1007), '{1,2}', 'of a type that was said');
  t.equal(shown(array(25, Buffer.from('a'), Buffer.from('b')), 1009), "{'a','b'}");
  const withNull = Buffer.concat([1, 0, 23, 1, 1, 0xffff_ffff].map(uint32));
  t.equal(
    shown(withNull, 1007),
    `\\x${withNull.toString('hex')}`,
    'what is not all of it is not shown as it',
  );
  const halfNull = Buffer.concat([1, 0, 23, 2, 1, 4, 7, 0xffff_ffff].map(uint32));
  t.equal(shown(halfNull, 1007), `\\x${halfNull.toString('hex')}`);
  const square = Buffer.concat([2, 0, 23, 1, 1, 1, 1, 4, 7].map(uint32));
  t.equal(shown(square, 1007), '36 bytes');
  t.equal(shown(array(99_999, Buffer.of(1)), 1009), '{\\x01}');
  const many = array(23, ...Array<Buffer>(100).fill(uint32(7)));
  t.equal(shown(many, 1007), `{${'7,'.repeat(40)}… (820 bytes)`);
  t.equal(shown(Buffer.from([1, 2]), 17), '\\x0102', 'bytes that are meant as such');
});

t.test('long ones are cut, and say so', async (t) => {
  const [value = ''] = valuesOf(bind([], [Buffer.alloc(500, 'x')]), []);
  t.match(value, /^'x{80}'… \(500 bytes\)$/);
  t.equal(valuesOf(bind([], [Buffer.alloc(80, 'x')]), [])[0], `'${'x'.repeat(80)}'`);
});

t.test('what is no Bind is a RangeError and nothing else', async (t) => {
  const whole = bind([1], [uint32(42), null]);
  for (let length = 5; length < whole.length - 2; length += 1)
    t.throws(() => valuesOf(whole.subarray(0, length), []), RangeError, String(length));
});
