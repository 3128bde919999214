/**
 * TCP keep-alive for the server's side of flows that last. A server that vanished without a word is noticed that way;
 * agents cannot ask for it themselves, their socket ends here.
 *
 * Probes begin after minutes of silence, so nothing is lost by asking for them late: most flows are over before the
 * first sweep and never pay for the system calls. One timer serves every flow of the process.
 */
import type { Socket } from 'node:net';

/** Silence before the first probe. */
export const KEEP_ALIVE_MS = 300_000;
const SWEEP_INTERVAL_MS = 30_000;

const young = new Set<Socket>();
let sweep: NodeJS.Timeout | null = null;

/** Has `socket` probed when it is still open at the next sweep. */
export function keepAliveLater(socket: Socket): void {
  young.add(socket);
  sweep ??= setInterval(sweepYoung, SWEEP_INTERVAL_MS).unref();
}

export function forgetKeepAlive(socket: Socket): void {
  young.delete(socket);
}

export function sweepYoung(): void {
  for (const socket of young) socket.setKeepAlive(true, KEEP_ALIVE_MS);
  young.clear();
  if (sweep === null) return;
  clearInterval(sweep);
  sweep = null;
}
