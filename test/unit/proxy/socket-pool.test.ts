import t from 'tap';
import { SOCKETS_MAX, SocketPool } from '#src/proxy/socket-pool.ts';

const LONG_MS = 10_000;

function makePool() {
  const asked: [family: number, count: number][] = [];
  const closed: number[] = [];
  const pool = new SocketPool({
    ask: (family, count) => asked.push([family, count]),
    closeFd: (fd) => closed.push(fd),
  });
  return { pool, asked, closed };
}

t.test('the first flow waits for the daemon, the next ones find sockets ready', async (t) => {
  const { pool, asked } = makePool();
  const first = pool.take(4, LONG_MS);
  t.same(asked, [[4, 5]], 'one for it, and four to keep');
  pool.give(4, [10, 11, 12, 13, 14]);
  t.equal(await first, 10);
  t.equal(await pool.take(4, LONG_MS), 14);
  t.same(asked.length, 1, 'not one by one');
  t.equal(await pool.take(4, LONG_MS), 13);
  t.same(asked[1], [4, 2]);
  t.same(
    asked.filter(([family]) => family === 6),
    [],
    'each family by itself',
  );
});

t.test('many at once are served in turn, and nobody asks for more than the daemon gives', async (t) => {
  const { pool, asked } = makePool();
  const flows = Array.from({ length: 100 }, () => pool.take(6, LONG_MS));
  let fd = 100;
  for (let index = 0; index < asked.length; index += 1) {
    const [family, count] = asked[index] ?? [0, 0];
    t.equal(family, 6);
    t.ok(count <= SOCKETS_MAX);
    pool.give(
      6,
      Array.from({ length: count }, () => fd++),
    );
  }
  t.same(
    await Promise.all(flows),
    flows.map((_, index) => 100 + index),
  );
});

t.test('who gets none in time is told, and the next one asks again', async (t) => {
  const { pool, asked } = makePool();
  await t.rejects(pool.take(4, 10), /no socket to be had/);
  const next = pool.take(4, LONG_MS);
  t.same(asked, [
    [4, 5],
    [4, 5],
  ]);
  pool.give(4, [7]);
  t.equal(await next, 7);
});

t.test('closed, it keeps no socket and gives none', async (t) => {
  const { pool, closed } = makePool();
  const first = pool.take(4, LONG_MS);
  pool.give(4, [1, 2, 3]);
  t.equal(await first, 1);
  const waiting = pool.take(6, LONG_MS);
  pool.close();
  await t.rejects(waiting, /no socket to be had/);
  await t.rejects(pool.take(6, LONG_MS), /no socket to be had/);
  t.same(closed, [2, 3]);
  pool.give(4, [4]);
  t.same(closed, [2, 3, 4], 'one that was on its way');
});

t.test('what nobody asked for is not hoarded', async (t) => {
  const { pool, closed } = makePool();
  pool.give(
    4,
    Array.from({ length: SOCKETS_MAX + 3 }, (_, index) => index),
  );
  t.equal(closed.length, 3);
  pool.giveBack(99);
  t.equal(closed.at(-1), 99);
});
