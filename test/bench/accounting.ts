/**
 * What a set of processes cost, as the kernel counted it. A set is its roots and all their descendants, so
 * that a proxy of several processes (Sluice: daemon and workers) is charged whole.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** proc(5) counts in USER_HZ, which is 100 on every architecture Debian ships. */
const TICKS_PER_SECOND = 100;
/** A proxy still busy this long after the load ended (records, closing sockets) is read as it stands. */
const SETTLE_LIMIT_MS = 3_000;
const SETTLE_STEP_MS = 150;

interface ProcessTimes {
  readonly parent: number;
  readonly ticks: number;
}

/**
 * Parent and CPU ticks of one process, from /proc/PID/stat: utime and stime cover all its threads, cutime and
 * cstime the children it has already waited for. Undefined when it has gone.
 */
export function parseStat(text: string): ProcessTimes | undefined {
  // The command name may hold spaces and brackets: fields are counted from the last bracket.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const number = (index: number): number => Number(fields[index]);
  const ticks = number(11) + number(12) + number(13) + number(14);
  return Number.isFinite(ticks) ? { parent: number(1), ticks } : undefined;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Processes may end between being listed and being read.
    return '';
  }
}

function snapshot(): Map<number, ProcessTimes> {
  const all = new Map<number, ProcessTimes>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const times = parseStat(readText(`/proc/${name}/stat`));
    if (times !== undefined) all.set(Number(name), times);
  }
  return all;
}

function family(all: ReadonlyMap<number, ProcessTimes>, roots: readonly number[]): number[] {
  const members = new Set(roots.filter((pid) => all.has(pid)));
  for (let before = -1; before !== members.size; ) {
    before = members.size;
    for (const [pid, { parent }] of all) if (members.has(parent)) members.add(pid);
  }
  return [...members];
}

/** CPU seconds used so far by the roots and their descendants. */
export function cpuSeconds(roots: readonly number[]): number {
  const all = snapshot();
  const ticks = family(all, roots).reduce((sum, pid) => sum + (all.get(pid)?.ticks ?? 0), 0);
  return ticks / TICKS_PER_SECOND;
}

/** The same once it has stopped growing: work put off until after the last byte is work too. */
export async function settledCpuSeconds(roots: readonly number[]): Promise<number> {
  let last = cpuSeconds(roots);
  for (let waited = 0; waited < SETTLE_LIMIT_MS; waited += SETTLE_STEP_MS) {
    await sleep(SETTLE_STEP_MS);
    const now = cpuSeconds(roots);
    if (now === last) break;
    last = now;
  }
  return last;
}

/** Proportional set size in bytes: shared pages are counted once over the set, not once per process. */
export function residentBytes(roots: readonly number[]): number {
  return family(snapshot(), roots).reduce((sum, pid) => {
    const kilobytes = /^Pss:\s+(\d+) kB$/m.exec(readText(`/proc/${pid}/smaps_rollup`))?.[1];
    return sum + Number(kilobytes ?? 0) * 1024;
  }, 0);
}
