/**
 * Sending RST, so that a flow that broke does not look to the other side like one that ended.
 *
 * By the kernel, as it closes the descriptor. Node has a way of its own for TCP, but libuv refuses it while a FIN is waiting, and
 * Node takes the handle for closed then and never closes it; for TLS it has none (nodejs/node#49484).
 */
import type { Socket } from 'node:net';
import { resetOnClose } from '../kernel/descriptors.ts';
import { fdOf, tcpFdOf } from './socket-fd.ts';

/** For so long a peer may take the last bytes. */
const FLUSH_TIMEOUT_MS = 10_000;

/**
 * Resets a TCP socket. Bytes before a FIN that waits behind them were all there were, so they may go first; the reset follows.
 *
 * @param secure the TLS socket on top of it, whose FIN it is then. Only the TCP socket is destroyed, and its
 * `close` destroys the other: both at once free the TLS state while the kernel still has its buffers, which
 * ends the process (nodejs/node#62967).
 */
export function resetSocket(socket: Socket, secure: Socket | null = null): void {
  if (socket.destroyed) return;
  const top = secure ?? socket;
  if (socket.connecting) {
    socket.destroy();
  } else if (!top.destroyed && top.writableEnded && !top.writableFinished) {
    const timer = setTimeout(() => destroyByReset(socket, fdOf(socket)), FLUSH_TIMEOUT_MS);
    top.once('finish', () => resetSocket(socket, secure));
    socket.once('close', () => clearTimeout(timer));
  } else {
    // Nothing more may be handed to a connection that is closing, not even what waits for the turn to end.
    secure?.cork();
    destroyByReset(socket, fdOf(socket));
  }
}

/** Resets a TLS socket that made its own TCP connection. */
export function resetTls(secure: Socket): void {
  if (secure.destroyed) return;
  destroyByReset(secure, secure.connecting ? null : tcpFdOf(secure));
}

/** @param fd of its connection; null: there is none that could be reset */
function destroyByReset(socket: Socket, fd: number | null): void {
  if (fd !== null) resetOnClose(fd);
  socket.destroy();
}
