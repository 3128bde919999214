/**
 * What stands beneath a socket: the descriptor number, for what the kernel tells of it by getsockopt (whose it is, and
 * whether it broke), the handle of the TCP connection that a TLS socket made by itself, and the buffer a socket reads into.
 *
 * Node has no public way to these. `_handle.fd` has stood unchanged since Node 0.11 and the runtime is pinned;
 * this file is the one place that would have to change, and its test fails if it must.
 */
import type { OnReadOpts, Server, Socket } from 'node:net';

/** Null when the socket is closed already. */
export function fdOf(socket: Socket | Server): number | null {
  return fdAt(handleOf(socket));
}

/** Of the connection beneath TLS that a TLS socket made by itself; null when it is closed already. */
export function tcpFdOf(secure: Socket): number | null {
  return fdAt(tcpHandleOf(secure));
}

function fdAt(handle: object | null): number | null {
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

/**
 * What the option `onread` does, for a socket to which it cannot be given: TLS over a socket that was there before. To be
 * called before anything was read. False: it goes on giving out bytes by `data`.
 */
export function readInto(socket: Socket, { buffer, callback }: OnReadOpts): boolean {
  const handle = handleOf(socket);
  const use: unknown = handle === null ? null : Reflect.get(handle, 'useUserBuffer');
  const keys = Object.getOwnPropertySymbols(socket);
  const keyOf = (name: string): symbol | undefined => keys.find(({ description }) => description === name);
  const [bufferKey, callbackKey, makerKey] = [keyOf('kBuffer'), keyOf('kBufferCb'), keyOf('kBufferGen')];
  if (bufferKey === undefined || callbackKey === undefined || makerKey === undefined) return false;
  if (handle === null || typeof use !== 'function') return false;
  Reflect.set(socket, bufferKey, buffer);
  Reflect.set(socket, callbackKey, callback);
  Reflect.apply(use, handle, [buffer]);
  return true;
}

function objectAt(owner: object, key: string): object | null {
  const value: unknown = Reflect.get(owner, key);
  return typeof value === 'object' && value !== null ? value : null;
}
