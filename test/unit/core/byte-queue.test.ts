import t from 'tap';
import { ByteQueue } from '#src/core/byte-queue.ts';

t.test('holds what is appended, in order and as a copy', async (t) => {
  const queue = new ByteQueue();
  const chunk = Buffer.from('abc');
  queue.append(chunk);
  chunk.fill(0);
  queue.append(Buffer.from('def'));
  t.equal(queue.length, 6);
  t.equal(queue.peek().toString(), 'abcdef');
});

t.test('grows over its first size byte by byte', async (t) => {
  const queue = new ByteQueue();
  const bytes = Buffer.from(Array.from({ length: 3_000 }, (_, index) => index % 251));
  for (const byte of bytes) queue.append(Buffer.from([byte]));
  t.ok(queue.peek().equals(bytes));
});

t.test('what was taken is not overwritten by what is appended later', async (t) => {
  const queue = new ByteQueue();
  queue.append(Buffer.from('first'));
  const taken = queue.take();
  queue.append(Buffer.from('other'));
  t.equal(taken.toString(), 'first');
  t.equal(queue.take().toString(), 'other');
  t.equal(queue.length, 0);
});
