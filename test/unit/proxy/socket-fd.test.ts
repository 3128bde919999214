import { once } from 'node:events';
import { readlinkSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import t from 'tap';
import { fdOf } from '#src/proxy/socket-fd.ts';

t.test('the descriptor of a socket, while it has one', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  await once(socket, 'connect');
  t.match(readlinkSync(`/proc/self/fd/${fdOf(socket)}`), /^socket:/);
  socket.destroy();
  await once(socket, 'close');
  t.equal(fdOf(socket), null);
});
