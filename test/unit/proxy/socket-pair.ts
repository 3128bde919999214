/** Both ends of one TCP connection on loopback. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { ignore, type Teardown } from './harness.ts';

/** The second is what a relay would hold: paused, and half-open capable. */
export async function socketPair(teardown: Teardown): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const { port } = server.address() as AddressInfo;
  const outer = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const [inner] = await accepted;
  server.close();
  for (const socket of [outer, inner]) {
    socket.on('error', ignore);
    teardown(() => socket.destroy());
  }
  return [outer, inner];
}
