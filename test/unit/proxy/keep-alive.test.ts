import { connect } from 'node:net';
import t from 'tap';
import { forgetKeepAlive, KEEP_ALIVE_MS, keepAliveLater, sweepYoung } from '#src/proxy/keep-alive.ts';
import { plainServer, type Teardown } from './harness.ts';

/** A connected socket, and what keep-alive was asked of it. */
async function watched(teardown: Teardown) {
  const server = await plainServer(teardown, (socket) => socket.resume());
  const socket = connect(server.port, '127.0.0.1');
  teardown(() => socket.destroy());
  const asked: unknown[][] = [];
  socket.setKeepAlive = (...options: unknown[]) => {
    asked.push(options);
    return socket;
  };
  return { socket, asked };
}

t.test('a flow that outlives the sweep is probed, and asked for once', async (t) => {
  const { socket, asked } = await watched(t.teardown);
  keepAliveLater(socket);
  t.same(asked, []);
  sweepYoung();
  sweepYoung();
  t.same(asked, [[true, KEEP_ALIVE_MS]]);
});

t.test('one that ended before is left alone', async (t) => {
  const { socket, asked } = await watched(t.teardown);
  keepAliveLater(socket);
  forgetKeepAlive(socket);
  sweepYoung();
  t.same(asked, []);
});
