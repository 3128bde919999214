/**
 * What stands beneath a socket: the descriptor number, for what the kernel tells of it by getsockopt (whose it is, and
 * whether it broke), and the handle of the TCP connection that a TLS socket made by itself.
 *
 * Node has no public way to either. `_handle.fd` has stood unchanged since Node 0.11 and the runtime is pinned;
 * this file is the one place that would have to change, and its test fails if it must.
 */
import type { Server, Socket } from 'node:net';

/** Null when the socket is closed already. */
export function fdOf(socket: Socket | Server): number | null {
  const handle = handleOf(socket);
  const fd: unknown = handle === null ? null : Reflect.get(handle, 'fd');
  return typeof fd === 'number' && fd >= 0 ? fd : null;
}

/** Null when the socket is closed already. */
export function handleOf(socket: Socket | Server): object | null {
  return objectAt(socket, '_handle');
}

/** Of the connection beneath TLS; null when it is closed already, or the socket has no TLS. */
export function tcpHandleOf(secure: Socket): object | null {
  const wrap = handleOf(secure);
  return wrap === null ? null : objectAt(wrap, '_parent');
}

function objectAt(owner: object, key: string): object | null {
  const value: unknown = Reflect.get(owner, key);
  return typeof value === 'object' && value !== null ? value : null;
}
