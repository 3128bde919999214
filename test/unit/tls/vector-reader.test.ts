import t from 'tap';
import { ProtocolError } from '#src/core/protocol-error.ts';
import { VectorReader } from '#src/tls/vector-reader.ts';

const reader = (value: string): VectorReader =>
  new VectorReader(Buffer.from(value.replaceAll(' ', ''), 'hex'), 'thing');

t.test('reads numbers, bytes and vectors in turn', async (t) => {
  const found = reader('01 0203 04 0002 0506 02 0708');
  t.equal(found.uint(1), 1);
  t.equal(found.uint(2), 0x0203);
  t.same([...found.bytes(1)], [4]);
  t.same([...found.vector(2, 0)], [5, 6]);
  t.same(found.nested(1, 2).uint16s(), [0x0708]);
  t.equal(found.atEnd, true);
  found.end();
});

t.test('refuses what is cut short, too short or too long', async (t) => {
  t.throws(() => reader('01').uint(2), { message: 'thing is cut short', protocol: 'tls', fault: 'agent' });
  t.throws(() => reader('0003 01').vector(2, 0), { message: 'thing is cut short' });
  t.throws(() => reader('01 01').vector(1, 2), { message: 'thing has a vector that is too short' });
  t.throws(() => reader('010203').uint16s(), { message: 'thing is cut short' });
  t.throws(() => reader('01').end(), { message: 'thing has bytes after its end' });
  t.throws(() => reader('').bytes(1), ProtocolError);
});
