import { Writable } from 'node:stream';
import t from 'tap';
import { corkForThisTurn, FULL_RECORD_BYTES, flushBorrowed, writeBorrowed } from '#src/proxy/write-batch.ts';

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

/** Takes at once what it is given, or only when it is told. */
function sink(taken: string[], waits: (() => void)[] | null = null): Writable {
  return new Writable({
    highWaterMark: 40_000,
    write: (chunk: Buffer, _encoding, done) => {
      const take = (): void => {
        taken.push(`${chunk.toString('latin1', 0, 1)}${chunk.length}`);
        done();
      };
      if (waits === null) take();
      else waits.push(take);
    },
  });
}

function record(letter: string, length = FULL_RECORD_BYTES): Buffer {
  return Buffer.alloc(length, letter);
}

t.test('full records wait for the end of the turn, and leave in one write', async (t) => {
  const taken: string[] = [];
  const stream = sink(taken);
  for (const letter of ['a', 'b', 'c']) writeBorrowed(stream, record(letter), ignore);
  t.same(taken, []);
  await new Promise(setImmediate);
  t.same(taken, [`a${3 * FULL_RECORD_BYTES}`]);
});

t.test('a short record is the end of what is there', async (t) => {
  const taken: string[] = [];
  const stream = sink(taken);
  writeBorrowed(stream, record('a'), ignore);
  writeBorrowed(stream, record('b', 10), ignore);
  t.same(taken, [`a${FULL_RECORD_BYTES + 10}`]);
  writeBorrowed(stream, record('c', 10), ignore);
  t.same(taken.length, 2);
});

t.test('of two streams each gets its own, and no more than fits is held', async (t) => {
  const one: string[] = [];
  const two: string[] = [];
  const [first, second] = [sink(one), sink(two)];
  writeBorrowed(first, record('a'), ignore);
  writeBorrowed(second, record('b'), ignore);
  t.same(one, [`a${FULL_RECORD_BYTES}`]);
  for (let n = 0; n < 4; n += 1) writeBorrowed(second, record('c'), ignore);
  t.same(two, [`b${4 * FULL_RECORD_BYTES}`]);
  flushBorrowed();
  t.same(two, [`b${4 * FULL_RECORD_BYTES}`, `c${FULL_RECORD_BYTES}`]);
});

t.test('what a slow stream has not taken is not overwritten', async (t) => {
  const taken: string[] = [];
  const waits: (() => void)[] = [];
  const slow = sink(taken, waits);
  let full = 0;
  const onFull = (): void => {
    full += 1;
  };
  const shared = record('a', 100);
  writeBorrowed(slow, shared, onFull);
  shared.fill('b');
  writeBorrowed(slow, shared, onFull);
  shared.fill('c');
  const other: string[] = [];
  writeBorrowed(sink(other), shared, ignore);
  t.same(other, ['c100']);
  for (let n = 0; n < 4; n += 1) writeBorrowed(slow, record('d'), onFull);
  t.ok(full > 0, 'and it says when it has enough');
  while (waits.length > 0) {
    waits.shift()?.();
    await new Promise(setImmediate);
  }
  t.same(taken.slice(0, 2), ['a100', 'b100']);
  t.equal(taken.length, 6);
});

t.test('a stream that is gone gets nothing', async (t) => {
  const taken: string[] = [];
  const stream = sink(taken);
  writeBorrowed(stream, record('a'), ignore);
  stream.destroy();
  flushBorrowed();
  t.same(taken, []);
});

function ignore(): void {
  // None of these is full.
}
