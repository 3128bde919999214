import t from 'tap';
import { cancelRequest, readCancelRequest } from '#src/protocols/postgres/cancel-key.ts';

t.test('reads and writes requests to cancel', async (t) => {
  const raw = Buffer.from('0000001004d2162e0000002a000004d2', 'hex');
  t.same(readCancelRequest(raw), { processId: 42, key: Buffer.from('000004d2', 'hex') });
  for (const bytes of [4, 32, 256]) {
    const key = { processId: 0xffff_fffe, key: Buffer.alloc(bytes, 7) };
    const made = cancelRequest(key);
    t.equal(made.readUInt32BE(0), made.length);
    t.same(readCancelRequest(made), key, `${bytes} bytes`);
  }
  t.same(cancelRequest(readCancelRequest(raw)), raw);
});
