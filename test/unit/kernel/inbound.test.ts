import t from 'tap';
import { encodeInbound, encodeInboundKey, INBOUND_MAX } from '#src/kernel/inbound.ts';

t.test('inbound ranges are numbers the kernel can compare, and never cut short', async (t) => {
  const range = {
    rule: 7,
    protocol: 17,
    ports: [53, 54],
    addresses: ['00000000000000000000ffff7f000000', '00000000000000000000ffff7fffffff'],
  } as const;
  const bytes = encodeInbound([range]);
  t.equal(bytes.readUInt32LE(0), 1);
  t.equal(bytes.readBigUInt64LE(8), 0n);
  t.equal(bytes.readBigUInt64LE(16), 0xffff7f000000n);
  t.equal(bytes.readBigUInt64LE(32), 0xffff7fffffffn);
  t.same(
    [bytes.readUInt32LE(40), bytes.readUInt16LE(44), bytes.readUInt16LE(46), bytes[48]],
    [7, 53, 54, 17],
  );
  t.throws(() => encodeInbound(Array.from({ length: INBOUND_MAX + 1 }, () => range)), RangeError);
});

t.test('a key is of a generation and an agent', async (t) => {
  t.equal(encodeInboundKey(1, 0x0203).toString('hex'), '0100000003020000');
});
