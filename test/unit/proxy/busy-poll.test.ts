import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { BusyPoll, busyPoll } from '#src/proxy/busy-poll.ts';
import { Landing } from '#src/proxy/landing.ts';

t.test('the event loop is kept from sleeping for a while after a read, and then sleeps', async (t) => {
  let now = 0;
  const poll = new BusyPoll(() => now);
  poll.touch();
  t.notOk(poll.turning, 'not without being told to');
  poll.set(60);
  t.equal(poll.microseconds, 60);
  poll.touch();
  poll.touch();
  t.ok(poll.turning);
  for (now = 0.05; now < 0.1; now += 0.02) {
    await turn();
    poll.touch();
  }
  await turn();
  t.ok(poll.turning, '60 µs from the last read on');
  now += 0.06;
  await turn();
  t.notOk(poll.turning);
  poll.touch();
  t.ok(poll.turning, 'and again after the next');
  now += 0.06;
  await turn();
  t.notOk(poll.turning);
});

t.test('what lands is a read', async (t) => {
  const server = createServer((socket) => socket.end('bytes'));
  t.teardown(() => server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  busyPoll.set(1_000);
  t.teardown(() => busyPoll.set(0));
  const landing = new Landing();
  const reading = { onread: landing.onread };
  const socket = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', ...reading });
  t.notOk(busyPoll.turning);
  const landed = new Promise<boolean>((resolve) => landing.deliverTo(() => resolve(busyPoll.turning)));
  t.ok(await landed);
  await once(socket, 'close');
});
