/**
 * Notices that a socket was reset while nobody reads it.
 *
 * A relay that waits for a slow reader does not read the other side, and after a FIN there is nothing to read.
 * A socket that is not read does not tell that it died: an agent that was killed would leave its flow, and its
 * server waiting, for as long as the server pleases. One sweep for all flows of the process asks each socket that has been stalled for a while by
 * a write of no bytes, which sends nothing and fails once the peer has reset.
 */
import type { Socket } from 'node:net';

const SWEEP_INTERVAL_MS = 2_000;
const NOTHING = Buffer.alloc(0);

/** Stalled sockets; true once a sweep has seen them: a busy transfer is stalled often and never for long. */
const stalled = new Map<Socket, boolean>();
let sweep: NodeJS.Timeout | null = null;

export function watchStalled(socket: Socket): void {
  if (stalled.has(socket)) return;
  stalled.set(socket, false);
  sweep ??= setInterval(sweepStalled, SWEEP_INTERVAL_MS).unref();
}

export function unwatchStalled(socket: Socket): void {
  stalled.delete(socket);
}

/** Asks every socket that was stalled at the last sweep too. An `error` of the socket is the answer. */
export function sweepStalled(): void {
  for (const [socket, before] of stalled) {
    if (!before) stalled.set(socket, true);
    // After our own FIN the kernel refuses any write, and with bytes waiting it tells by itself.
    else if (socket.writable && socket.writableLength === 0) socket.write(NOTHING);
  }
  if (stalled.size > 0 || sweep === null) return;
  clearInterval(sweep);
  sweep = null;
}
