/**
 * Sending RST, so that a flow that broke does not look to the other side like one that ended.
 */
import type { Socket } from 'node:net';
import { tcpHandleOf } from './socket-fd.ts';

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

/**
 * Resets a TLS socket that made its own TCP connection. Node has no way to that (nodejs/node#49484): its TCP
 * handle stands beneath it (socket-fd.ts), and closing the one closes the other when that is safe. So the closing is
 * left to Node, and only how the TCP handle closes is changed. Without the handle it is a plain close.
 */
export function resetTls(secure: Socket): void {
  if (secure.destroyed) return;
  const tcp = tcpHandleOf(secure);
  if (tcp !== null && isResettable(tcp) && !secure.connecting) {
    const close = tcp.close.bind(tcp);
    tcp.close = (done) => {
      // Refused while a FIN waits behind unsent bytes. The close that is left sends no close_notify, so what
      // the server has looks cut off to it all the same.
      if (tcp.reset(done) !== 0) close(done);
    };
  }
  secure.destroy();
}

interface TcpHandle {
  close(done: () => void): void;
  /** Zero, or a negative errno. */
  reset(done: () => void): number;
}

function isResettable(handle: object): handle is TcpHandle {
  return ['close', 'reset'].every((method) => typeof Reflect.get(handle, method) === 'function');
}
