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
  for (const letter of ['a', 'b', 'c']) writeBorrowed(stream, record(letter), into(stream));
  t.same(taken, []);
  await new Promise(setImmediate);
  t.same(taken, [`a${3 * FULL_RECORD_BYTES}`]);
});

t.test('a short record is the end of what is there', async (t) => {
  const taken: string[] = [];
  const stream = sink(taken);
  writeBorrowed(stream, record('a'), into(stream));
  writeBorrowed(stream, record('b', 10), into(stream));
  t.same(taken, [`a${FULL_RECORD_BYTES + 10}`]);
  writeBorrowed(stream, record('c', 10), into(stream));
  t.same(taken.length, 2);
});

t.test('records of PostgreSQL wait as well', async (t) => {
  const taken: string[] = [];
  const stream = sink(taken);
  for (let n = 0; n < 3; n += 1) writeBorrowed(stream, record('a', 8_192), into(stream));
  writeBorrowed(stream, record('b', 8_191), into(stream));
  t.same(taken, [`a${4 * 8_192 - 1}`]);
});

t.test('of two streams each gets its own, and no more than fits is held', async (t) => {
  const one: string[] = [];
  const two: string[] = [];
  const [first, second] = [sink(one), sink(two)];
  writeBorrowed(first, record('a'), into(first));
  writeBorrowed(second, record('b'), into(second));
  t.same(one, [`a${FULL_RECORD_BYTES}`]);
  for (let n = 0; n < 4; n += 1) writeBorrowed(second, record('c'), into(second));
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
  writeBorrowed(slow, shared, into(slow, onFull));
  shared.fill('b');
  writeBorrowed(slow, shared, into(slow, onFull));
  shared.fill('c');
  const other: string[] = [];
  const fast = sink(other);
  writeBorrowed(fast, shared, into(fast));
  t.same(other, ['c100']);
  for (let n = 0; n < 4; n += 1) writeBorrowed(slow, record('d'), into(slow, onFull));
  flushBorrowed();
  t.ok(full > 0, 'and it says when it has enough');
  while (waits.length > 0) {
    waits.shift()?.();
    await new Promise(setImmediate);
  }
  t.same(taken.slice(0, 2), ['a100', 'b100']);
  t.same(taken.slice(2), [`d${4 * FULL_RECORD_BYTES}`], 'long records wait for each other all the same');
});

t.test('a stream that is gone gets nothing', async (t) => {
  const taken: string[] = [];
  const stream = sink(taken);
  writeBorrowed(stream, record('a'), into(stream));
  stream.destroy();
  flushBorrowed();
  t.same(taken, []);
});

t.test(
  'streams that are stuck with little share their memory, and those that are not use it again',
  async (t) => {
    const memory = new Set<ArrayBufferLike>();
    const stuck: Buffer[] = [];
    for (let n = 0; n < 100; n += 1) {
      const slow = new Writable({
        write: (chunk: Buffer) => {
          memory.add(chunk.buffer);
          stuck.push(chunk);
        },
      });
      writeBorrowed(slow, record(`${n % 10}`, 100), into(slow));
      const fast = sink([]);
      for (let full = 0; full < 4; full += 1) writeBorrowed(fast, record('f'), into(fast));
      flushBorrowed();
    }
    t.ok(memory.size <= 2, `${memory.size} slabs for ${stuck.length} streams`);
    t.ok(stuck.every((chunk, n) => chunk.toString() === `${n % 10}`.repeat(100)));
  },
);

t.test('a write that makes others write does not have its bytes changed', async (t) => {
  const seen: string[] = [];
  const waits: (() => void)[] = [];
  const inner = sink(seen, waits);
  let others = 5;
  const changed: string[] = [];
  const outer = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      const before = chunk.toString('latin1');
      while (others > 0) {
        others -= 1;
        writeBorrowed(inner, record('i', others === 4 ? 5 : FULL_RECORD_BYTES), into(inner));
        writeBorrowed(outer, record('p', 7), into(outer));
      }
      if (chunk.toString('latin1') !== before) changed.push(before);
      done();
    },
  });
  for (let n = 0; n < 3; n += 1) {
    for (let full = 0; full < 3; full += 1) writeBorrowed(outer, record('o'), into(outer));
    await new Promise(setImmediate);
  }
  while (waits.length > 0) {
    waits.shift()?.();
    await new Promise(setImmediate);
  }
  t.same(changed, []);
  t.equal(seen[0], 'i5');
  t.ok(seen.every((text) => text.startsWith('i')));
});

/** What a relay does: it writes, and hears when that is enough. */
function into(stream: Writable, onFull: () => void = () => {}): (bytes: Uint8Array) => void {
  return (bytes) => {
    if (!stream.write(bytes)) onFull();
  };
}
