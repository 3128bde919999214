/**
 * Sending RST, so that a flow that broke does not look to the other side like one that ended.
 */
import type { Socket } from 'node:net';

/** A peer that does not take the last bytes in this time gets no RST, but a FIN. */
const FLUSH_TIMEOUT_MS = 10_000;

/**
 * Resets a TCP socket.
 *
 * libuv refuses that while a FIN waits behind unsent bytes, and Node then loses the descriptor. Those bytes were
 * all there were, so they may go first; the reset follows.
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
    const timer = setTimeout(() => socket.destroy(), FLUSH_TIMEOUT_MS);
    top.once('finish', () => resetSocket(socket, secure));
    socket.once('close', () => clearTimeout(timer));
  } else {
    // Nothing more may be handed to a connection that is closing, not even what waits for the turn to end.
    secure?.cork();
    socket.resetAndDestroy();
  }
}
