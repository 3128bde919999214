/**
 * How many flows a worker may carry: what the daemon asks, or what the process's descriptors are enough for.
 *
 * Running out of descriptors in the middle would make accept(2) drop connections nobody gets to see; a flow
 * refused here is answered and recorded.
 */
import { readFileSync } from 'node:fs';

/** The agent's socket and the server's. */
const DESCRIPTORS_PER_FLOW = 2;
/** Event loop, channel to the daemon, standard streams, listeners (two each, see doors.ts), files Node opens now and then. */
const DESCRIPTOR_RESERVE = 128;

/** @param limits text of /proc/self/limits */
export function maxFlows(asked: number, limits: string): number {
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1];
  if (soft === undefined || soft === 'unlimited') return asked;
  const affordable = Math.floor((Number(soft) - DESCRIPTOR_RESERVE) / DESCRIPTORS_PER_FLOW);
  return Math.max(1, Math.min(asked, affordable));
}

export function readLimits(): string {
  return readFileSync('/proc/self/limits', 'utf8');
}
