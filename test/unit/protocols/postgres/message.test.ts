import t from 'tap';
import { HEADER_BYTES, message } from '#src/protocols/postgres/message.ts';

t.test('a message says its length, which is that of its content and of itself', async (t) => {
  const made = message(0x51, Buffer.from('SELECT'), Buffer.from(' 1'), Buffer.alloc(1));
  t.equal(made.toString('latin1'), 'Q\0\0\0\x0dSELECT 1\0');
  t.equal(message(0x53).length, HEADER_BYTES);
  t.equal(message(0x53).readUInt32BE(1), 4);
});
