import t from 'tap';
import { RingHolds } from '#src/kernel/ring-holds.ts';

t.test('what is not held goes at once', async (t) => {
  const holds = new RingHolds(10);
  holds.read(null);
  holds.read(null);
  t.equal(holds.release(), 2);
  t.equal(holds.release(), 0);
});

t.test('nothing goes before what is held', async (t) => {
  const holds = new RingHolds(10);
  holds.read(null);
  holds.read('a');
  holds.read(null);
  holds.read('b');
  t.equal(holds.release(), 1);
  holds.settled('b');
  t.equal(holds.release(), 0, 'a is older');
  holds.settled('a');
  t.equal(holds.release(), 3);
  t.equal(holds.forced, 0);
});

t.test('a flow with two events is settled once', async (t) => {
  const holds = new RingHolds(10);
  holds.read('a');
  holds.read('a');
  t.equal(holds.release(), 0);
  holds.settled('a');
  t.equal(holds.release(), 2);
  holds.settled('a');
  holds.settled('never read');
  t.equal(holds.release(), 0);
});

t.test('the oldest is given up before the ring is full', async (t) => {
  const holds = new RingHolds(3);
  for (const id of ['a', 'b', 'c', 'd', 'e']) holds.read(id);
  t.equal(holds.release(), 2);
  t.equal(holds.forced, 2);
  holds.settled('c');
  holds.settled('d');
  t.equal(holds.release(), 2);
  t.equal(holds.forced, 2);
});

t.test('many of them', async (t) => {
  const holds = new RingHolds(1_000_000);
  let gone = 0;
  for (let n = 0; n < 100_000; n += 1) {
    holds.read(n % 2 === 0 ? String(n) : null);
    if (n >= 50) holds.settled(String(n - 50));
    gone += holds.release();
  }
  t.equal(gone, 99_950, 'all but those behind the oldest of the last fifty');
});
