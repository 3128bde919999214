import { once } from 'node:events';
import { readlinkSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import t from 'tap';
import { fdOf, readInto } from '#src/proxy/socket-fd.ts';

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

t.test('what a socket reads lands in a buffer that it was not made with', async (t) => {
  const server = createServer((socket) => socket.end('landed')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const buffer = Buffer.alloc(64);
  let got = '';
  const callback = (count: number): boolean => {
    got += buffer.toString('latin1', 0, count);
    return true;
  };
  await once(socket, 'connect');
  t.ok(readInto(socket, { buffer, callback }));
  socket.on('data', () => t.fail('and is not given out by `data`'));
  await once(socket, 'end');
  t.equal(got, 'landed');
  await new Promise(setImmediate);
  t.notOk(readInto(socket, { buffer, callback }), 'one that is closed reads nothing');
});
