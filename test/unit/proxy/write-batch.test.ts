import { Writable } from 'node:stream';
import t from 'tap';
import { corkForThisTurn } from '#src/proxy/write-batch.ts';

t.test('what is written in one turn leaves together', async (t) => {
  const writes: number[] = [];
  const stream = new Writable({
    write: (_chunk, _encoding, done) => {
      writes.push(1);
      done();
    },
    writev: (chunks, done) => {
      writes.push(chunks.length);
      done();
    },
  });
  corkForThisTurn(stream);
  for (const text of ['a', 'b', 'c']) stream.write(text);
  t.same(writes, []);
  await new Promise(setImmediate);
  t.same(writes, [3]);
  stream.write('d');
  t.same(writes, [3, 1], 'and is not held back after that');
});
