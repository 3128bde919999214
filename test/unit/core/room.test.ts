import t from 'tap';
import { room, roomIsFree, roomIsTaken, together } from '#src/core/room.ts';

const LARGE_BYTES = 131_073;

t.test('pieces do not overlap, whatever their sizes', async (t) => {
  const sizes = Array.from({ length: 400 }, (_, n) => (n * 7_919) % 20_000);
  const pieces = sizes.map((size, n) => room(size).fill(n % 256));
  t.ok(pieces.every((piece, n) => piece.length === sizes[n] && piece.every((byte) => byte === n % 256)));
  roomIsTaken();
});

t.test('what is free is given out again, what is taken is not', async (t) => {
  roomIsFree();
  const taken = room(100).fill('a');
  roomIsTaken();
  const free = room(100).fill('b');
  roomIsFree();
  const again = room(100).fill('c');
  t.equal(again.byteOffset, free.byteOffset);
  t.equal(again.buffer, free.buffer);
  t.equal(taken.toString(), 'a'.repeat(100));
  roomIsFree();
});

t.test('few bytes that nobody takes keep few slabs', async (t) => {
  const memory = new Set<ArrayBufferLike>();
  for (let n = 0; n < 100; n += 1) {
    memory.add(room(100).buffer);
    roomIsTaken();
    for (let others = 0; others < 10; others += 1) {
      memory.add(room(60_000).buffer);
      memory.add(room(60_000).buffer);
      roomIsFree();
    }
  }
  t.ok(memory.size <= 2, `${memory.size} slabs`);
});

t.test('a large piece is memory of its own, also after what is free', async (t) => {
  const large = room(LARGE_BYTES).fill('l');
  roomIsFree();
  const other = room(LARGE_BYTES).fill('o');
  t.not(large.buffer, other.buffer);
  t.ok(large.every((byte) => byte === 0x6c));
});

t.test('parts one behind the other', async (t) => {
  t.equal(together([Buffer.from('ab'), new Uint8Array(0), Buffer.from('c')]).toString(), 'abc');
  t.equal(together([]).length, 0);
});
