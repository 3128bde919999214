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
    ['42', '\\x0000002a', "'ä'", 'true', '40 bytes'],
  );
  t.strictSame(valuesOf(bind([0, 1], [Buffer.from('1'), four]), [0, 23]), ["'1'", '42']);
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
