/**
 * How one daemon hands its work to the next: listeners with their mark and their queues, retired workers with their
 * flows. Descriptors go by execve(2) where the daemon becomes the next itself (SIGUSR2), and by systemd's descriptor
 * store where that starts the next (`systemctl restart`; sd_notify(3), FDSTORE=1). What else is to be known is in a file
 * in memory that goes with them.
 *
 * All of it is root's: a descriptor store is the service manager's, and the file has no name.
 */
import { execFile } from 'node:child_process';
import { closeSync, fstatSync, readSync, writeSync } from 'node:fs';
import { basename } from 'node:path';
import { promisify } from 'node:util';
import { deserialize, serialize } from 'node:v8';
import type { HandedMetrics } from '../api/metrics-server.ts';
import { SluiceError } from '../core/errors.ts';
import { addon } from '../kernel/addon.ts';
import { ownCgroup } from '../kernel/cgroup.ts';
import type { FlowFacts } from '../kernel/facts.ts';
import type { DnsSockets, Listeners } from './listeners.ts';
import type { ServedState } from './namespaces.ts';
import type { HandedWorker } from './worker-process.ts';

/** Of the struct below: what another version has left is not understood, and its flows end. */
const VERSION = 2;
const STATE = 'sluice-state';
const VARIABLE = 'SLUICE_HANDOVER';
/**
 * FileDescriptorStoreMax of the unit, less the state itself. Much more would not do: the names of all go to the next
 * daemon in one variable of its environment, and the kernel takes 128 KiB.
 */
const STORE_ROOM = 8_191;
const FD_NAME = /^sluice-(\d{1,7})$/;
/** SD_LISTEN_FDS_START of sd_listen_fds(3). */
const FIRST_FD = 3;

export interface Handover {
  readonly mark: bigint;
  /** CLOCK_BOOTTIME in nanoseconds: before the listeners were opened. */
  readonly listeningSinceNs: bigint;
  readonly listeners: Listeners;
  readonly dnsSockets: DnsSockets;
  readonly namespaces: readonly ServedState[];
  readonly workers: readonly HandedWorker[];
  readonly openFlows: readonly FlowFacts[];
  /** Left out where metrics are not served by TCP. */
  readonly metrics?: HandedMetrics;
}

/** Every descriptor in it; `replace` gives the number it has now. */
function withDescriptors(handover: Handover, replace: (fd: number) => number): Handover {
  const all = <T extends { readonly fd: number }>(list: readonly T[]): T[] =>
    list.map((one) => ({ ...one, fd: replace(one.fd) }));
  const { listeners, dnsSockets, namespaces, workers, metrics } = handover;
  return {
    ...handover,
    ...(metrics === undefined ? {} : { metrics: { ...metrics, fd: replace(metrics.fd) } }),
    listeners: { ...listeners, byWorker: listeners.byWorker.map(all) },
    dnsSockets: { ...dnsSockets, datagrams: all(dnsSockets.datagrams), listeners: all(dnsSockets.listeners) },
    namespaces: namespaces.map(({ handle, lent, dns }) => ({
      handle: { ...handle, fd: replace(handle.fd) },
      lent: lent.map((one) => ({ ...one, fds: one.fds.map(replace) })),
      dns: { datagrams: dns.datagrams.map(replace), listeners: dns.listeners.map(replace) },
    })),
    workers: workers.map((one) => ({
      ...one,
      channelFd: replace(one.channelFd),
      processFd: replace(one.processFd),
    })),
  };
}

function descriptorsOf(handover: Handover): number[] {
  const found = new Set<number>();
  withDescriptors(handover, (fd) => {
    found.add(fd);
    return fd;
  });
  return [...found];
}

function writeState(handover: Handover): number {
  const fd = addon().memoryFile(STATE);
  const bytes = serialize({ version: VERSION, handover });
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
  return fd;
}

function readState(fd: number): Handover | null {
  const bytes = Buffer.alloc(fstatSync(fd).size);
  for (let at = 0; at < bytes.length; ) {
    const read = readSync(fd, bytes, at, bytes.length - at, at);
    if (read === 0) break;
    at += read;
  }
  closeSync(fd);
  const state = deserialize(bytes) as { readonly version: number; readonly handover: Handover };
  return state.version === VERSION ? state.handover : null;
}

/** Becomes the program that is installed now, with the same arguments. Returns only by throwing. */
export function executeAnew(handover: Handover): never {
  const state = writeState(handover);
  // Node marks even the standard ones to be closed; what is written there would be lost from then on.
  for (const fd of [0, 1, 2, state, ...descriptorsOf(handover)]) addon().inherit(fd, true);
  const environment = Object.entries(process.env).map(([name, value]) => `${name}=${value}`);
  return addon().execute(
    process.execPath,
    [process.execPath, ...process.execArgv, ...process.argv.slice(1)],
    [...environment, `${VARIABLE}=${state}`],
  );
}

/**
 * As much of it as there is room for: a host with hundreds of containers has more listeners than the store takes. Of
 * the namespaces that are left out open flows go on, and listeners are opened anew by the next daemon.
 */
export function fitting(handover: Handover, room: number = STORE_ROOM): Handover {
  const namespaces = [...handover.namespaces];
  while (namespaces.length > 0 && descriptorsOf({ ...handover, namespaces }).length > room) namespaces.pop();
  return { ...handover, namespaces };
}

/** Puts it into the service manager's store. */
export function store(whole: Handover): void {
  const handover = fitting(whole);
  const put = (name: string, fd: number): void => {
    // Not watched: who has ended meanwhile is found to have when it is adopted.
    addon().storeDescriptor(`FDSTORE=1\nFDPOLL=0\nFDNAME=${name}`, fd);
  };
  for (const fd of descriptorsOf(handover)) put(`sluice-${fd}`, fd);
  put(STATE, writeState(handover));
}

/** Takes the environment's word for what is inherited, and out of it. */
function environment(name: string): string {
  const value = process.env[name] ?? '';
  delete process.env[name];
  return value;
}

/** Named descriptors of the service manager, no longer in its store: this process's end is to close them. */
function fromStore(): Map<string, number> {
  const [pid, count, names] = ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES'].map(environment);
  const found = new Map<string, number>();
  if (Number(pid) !== process.pid) return found;
  for (const [index, name] of (names ?? '').split(':').slice(0, Number(count)).entries()) {
    found.set(name, FIRST_FD + index);
    addon().inherit(FIRST_FD + index, false);
    addon().sdNotify(`FDSTOREREMOVE=1\nFDNAME=${name}`);
  }
  return found;
}

/** What the daemon before this one has handed over; null: nothing, or nothing this version understands. */
export function takeOver(): Handover | null {
  const executed = environment(VARIABLE);
  const stored = fromStore();
  if (/^\d{1,7}$/.test(executed)) {
    const handover = readState(Number(executed));
    if (handover !== null) for (const fd of descriptorsOf(handover)) addon().inherit(fd, false);
    return handover;
  }
  const state = stored.get(STATE);
  const handover = state === undefined ? null : readState(state);
  stored.delete(STATE);
  const numbers = new Map([...stored].map(([name, fd]) => [Number(FD_NAME.exec(name)?.[1]), fd]));
  if (handover !== null && descriptorsOf(handover).every((fd) => numbers.has(fd)))
    return withDescriptors(handover, (fd) => numbers.get(fd) ?? -1);
  // Not whole, as when the store was too small: workers whose channel is closed end.
  for (const fd of stored.values()) closeSync(fd);
  return null;
}

/** Whether the service manager stops this service only to start it again. */
export async function isBeingRestarted(): Promise<boolean> {
  if (process.env['NOTIFY_SOCKET'] === undefined || process.env['INVOCATION_ID'] === undefined) return false;
  const unit = basename(ownCgroup());
  try {
    const list = ['list-jobs', '--no-legend', '--no-pager', '--plain', unit];
    const { stdout } = await promisify(execFile)('systemctl', list, { timeout: 10_000 });
    return stdout.split('\n').some((line) => {
      const [, name, type] = line.trim().split(/\s+/);
      return name === unit && type === 'restart';
    });
  } catch {
    return false;
  }
}

/** @throws SluiceError CONFIG when the program that is installed now does not take the policy: better go on as we are. */
export async function requireSuccessor(policyPath: string): Promise<void> {
  const command = [...process.execArgv, process.argv[1] ?? '', 'policy', 'check', policyPath];
  try {
    await promisify(execFile)(process.execPath, command, { timeout: 60_000 });
  } catch (error) {
    const said = typeof error === 'object' && error !== null && 'stderr' in error ? String(error.stderr) : '';
    throw new SluiceError('CONFIG', `the program that is installed now does not take the policy:\n${said}`, {
      cause: error,
    });
  }
}
