/**
 * Notices that a socket was reset while nobody reads it.
 *
 * A relay that waits for a slow reader does not read the other side, and after a FIN there is nothing to read.
 * A socket that is not read does not tell that it died: an agent that was killed would leave its flow, and its
 * server waiting, for as long as the server pleases. One sweep for all flows of the process asks the kernel about each
 * socket that has been stalled for a while.
 */
import type { Socket } from 'node:net';
import { socketError } from '../kernel/descriptors.ts';
import { fdOf } from './socket-fd.ts';

const SWEEP_INTERVAL_MS = 2_000;

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
    else askWhetherReset(socket);
  }
  if (stalled.size > 0 || sweep === null) return;
  clearInterval(sweep);
  sweep = null;
}

/**
 * Asks the kernel whether the peer has reset; the socket's `error` is the answer. Not by a write of no bytes: TLS sockets
 * keep its failure to themselves, and the kernel does not say it again.
 */
export function askWhetherReset(socket: Socket): void {
  const fd = fdOf(socket);
  const error = fd === null ? null : socketError(fd);
  if (error !== null) socket.destroy(error);
}
