/** Bounds of ranges and multiranges, and what is neither. */
import t from 'tap';
import { boundOf, boundsIn } from '#src/protocols/postgres/masking/range-binary.ts';
import { uint32 } from '#test/support/postgres-packets.ts';

const sized = (value: Buffer): Buffer => Buffer.concat([uint32(value.length), value]);
const range = (flags: number, ...bounds: string[]): Buffer =>
  Buffer.concat([Buffer.of(flags), ...bounds.map((bound) => sized(Buffer.from(bound)))]);
const multirange = (...ranges: Buffer[]): Buffer =>
  Buffer.concat([uint32(ranges.length), ...ranges.map(sized)]);
const shown = (bytes: Buffer) => boundsIn(bytes)?.map(String) ?? null;

t.test('a range has the bounds its flags say', async (t) => {
  t.strictSame(shown(range(0x02, 'a', 'b')), ['a', 'b']);
  t.strictSame(shown(range(0x12, 'a')), ['a'], 'without end');
  t.strictSame(shown(range(0x0c, 'b')), ['b'], 'without beginning');
  t.strictSame(shown(range(0x18)), []);
  t.strictSame(shown(range(0x01)), [], 'empty');
  t.strictSame(shown(multirange(range(0x02, 'a', 'b'), range(0x12, 'c'))), ['a', 'b', 'c']);
  t.strictSame(shown(multirange()), []);
});

t.test('what does not end where it should is neither', async (t) => {
  const whole = range(0x02, 'a', 'bc');
  for (let end = 0; end < whole.length; end += 1) t.equal(boundsIn(whole.subarray(0, end)), null, `${end}`);
  t.equal(boundsIn(Buffer.concat([whole, Buffer.of(0)])), null);
  t.equal(boundsIn(range(0x82, 'a', 'b')), null, 'flags nobody knows');
  t.equal(boundsIn(Buffer.concat([uint32(2), sized(range(0x01))])), null, 'one too few');
  t.equal(boundsIn(Buffer.concat([Buffer.of(0x02), uint32(0xffff_ffff), Buffer.from('a')])), null);
});

t.test("of PostgreSQL's own it is known which type they have", async (t) => {
  t.equal(boundOf(3926), 20, 'int8range');
  t.equal(boundOf(4532), 1700, 'nummultirange');
  t.equal(boundOf(20_000), 0);
});
