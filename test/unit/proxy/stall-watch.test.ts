import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import t from 'tap';
import { sweepStalled, unwatchStalled, watchStalled } from '#src/proxy/stall-watch.ts';
import { endOf, ignore, readAll } from './harness.ts';

async function pair(teardown: (end: () => unknown) => void): Promise<[Socket, Socket]> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const outer = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' });
  const [inner] = await accepted;
  server.close();
  for (const socket of [outer, inner]) {
    socket.on('error', ignore);
    teardown(() => socket.destroy());
  }
  return [outer, inner];
}

t.test('a reset is noticed though nobody reads, at the second sweep', async (t) => {
  const [outer, inner] = await pair(t.teardown);
  outer.write('unread');
  watchStalled(inner);
  sweepStalled();
  outer.resetAndDestroy();
  await endOf(outer);
  t.equal(inner.destroyed, false, 'nothing tells of it');
  sweepStalled();
  await new Promise((resolve) => inner.once('close', resolve));
  t.match(inner.errored, { code: 'ECONNRESET' });
  unwatchStalled(inner);
});

t.test('a socket that lives is asked without harm', async (t) => {
  const [outer, inner] = await pair(t.teardown);
  watchStalled(inner);
  for (let sweeps = 0; sweeps < 3; sweeps += 1) sweepStalled();
  inner.write('x');
  inner.end();
  sweepStalled();
  t.equal((await readAll(outer)).toString(), 'x', 'no byte was added');
  unwatchStalled(inner);
});
