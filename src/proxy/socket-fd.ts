/**
 * The descriptor number of a socket, for what the kernel tells of it by getsockopt: whose it is, and whether it broke.
 *
 * Node has no public way to it. `_handle.fd` has stood unchanged since Node 0.11 and the runtime is pinned;
 * this file is the one place that would have to change, and its test fails if it must.
 */
import type { Server, Socket } from 'node:net';

/** Null when the socket is closed already. */
export function fdOf(socket: Socket | Server): number | null {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle !== 'object' || handle === null) return null;
  const fd: unknown = Reflect.get(handle, 'fd');
  return typeof fd === 'number' && fd >= 0 ? fd : null;
}
