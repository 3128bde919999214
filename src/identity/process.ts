/**
 * Is the process with this number still the one the kernel told us about? A pid is reused; pid and start time
 * together are not, so every read of /proc/PID counts only between two answers of yes.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** USER_HZ, in which proc(5) gives start times: 100 on every architecture Linux builds for here. */
const TICK_NS = 10_000_000n;

/** Start time in clock ticks since boot, the way /proc/PID/stat shows a time of CLOCK_BOOTTIME. */
export function startTicks(taskStartNs: bigint): bigint {
  return taskStartNs / TICK_NS;
}

/**
 * Field 22 of a /proc/PID/stat line, or null if it is not one. Field 2 is the process's own name in
 * parentheses, in which it may have put spaces and parentheses: count from the last `)`. (proc_pid_stat(5))
 */
export function parseStartTicks(stat: string): bigint | null {
  const nameEnd = stat.lastIndexOf(')');
  if (nameEnd < 0) return null;
  const field = stat.slice(nameEnd + 2).split(' ')[19];
  return field !== undefined && /^\d+$/.test(field) ? BigInt(field) : null;
}

/**
 * True while /proc/PID belongs to the process that began at `taskStartNs`. Read at once and not through libuv's threads:
 * this file waits for nothing, costs a tenth that way, and the process may be about to end.
 */
export function isSameProcess(procRoot: string, pid: number, taskStartNs: bigint): boolean {
  try {
    const stat = readFileSync(join(procRoot, String(pid), 'stat'), 'latin1');
    return parseStartTicks(stat) === startTicks(taskStartNs);
  } catch {
    return false;
  }
}
