/**
 * Many connections that have carried one small request and now carry nothing. The unit is the flow; what counts
 * is how much the proxies' resident memory grew, kernel memory (sockets, maps) not included.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { residentBytes } from '../accounting.ts';
import { startPlaced } from '../process.ts';
import { SMALL_PATH } from '../servers.ts';
import type { BenchWorld, Outcome, RunningContender } from '../types.ts';

const CLIENT = fileURLToPath(new URL('../idle-client.mjs', import.meta.url));
/** For collectors and records to come to rest before memory is read. */
const REST_MS = 2_000;
/** Ten times what the slowest contender was seen to need. */
const OPENING_LIMIT_MS = 300_000;
/** What a proxy needs beside its flows' descriptors: listeners, epoll, logs, libraries. */
const SPARE_DESCRIPTORS = 500;

/** How many processes it takes to hold that many flows, two descriptors each, under this host's hard limit. */
export function processesFor(flows: number): number {
  const limit = /^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  return Math.max(1, Math.ceil((flows * 2) / (Number(limit ?? 1024) - SPARE_DESCRIPTORS)));
}

export async function holdIdleFlows(
  world: BenchWorld,
  contender: RunningContender,
  flows: number,
): Promise<Outcome & { readonly residentBytes: number }> {
  const targets = contender.endpoints('http').map(({ host, port }) => `${host}:${port}`);
  const argv = [process.execPath, CLIENT, String(flows), SMALL_PATH, world.serverName, ...targets];
  const base = residentBytes(contender.pids);
  const started = performance.now();
  const client = startPlaced(world.load, contender.loadCommand(argv), { keepStdin: true });
  try {
    await client.waitFor(({ stdout }) => stdout.includes('open '), OPENING_LIMIT_MS);
    const seconds = (performance.now() - started) / 1000;
    await sleep(REST_MS);
    const growth = residentBytes(contender.pids) - base;
    client.endInput();
    const { stdout } = await client.finished;
    const open = Number(/^left (\d+)$/m.exec(stdout)?.[1] ?? 0);
    return { amount: flows, seconds, p50Us: null, p99Us: null, errors: flows - open, residentBytes: growth };
  } finally {
    await client.stop();
  }
}
