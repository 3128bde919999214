/**
 * Network namespaces as the daemon meets them: found by a task that is in one, known by the kernel's cookie (never
 * used again) and by the inode that people see (`net:[4026532008]`).
 */
import { readlinkSync } from 'node:fs';
import { release } from 'node:os';
import { errnoOf } from '../core/errors.ts';
import { addon } from './addon.ts';
import { lackingError } from './missing.ts';

export interface NamespaceHandle {
  /** Keeps the namespace alive until it is closed. */
  readonly fd: number;
  readonly cookie: bigint;
  readonly inode: number;
  /** Who made the user namespace it belongs to; null: it belongs to the initial one. */
  readonly ownerUid: number | null;
}

export interface HomeNamespace {
  readonly cookie: bigint;
  readonly inode: number;
}

/** @throws Node-like errors: ENOENT or ESRCH for a task that is gone. */
export function openNamespace(tid: number): NamespaceHandle {
  return addon().openNamespace(tid);
}

/** @throws SluiceError NOT_SUPPORTED before Linux 5.14, which gives no cookie: the first that an older kernel is asked. */
export function homeNamespace(ask: () => HomeNamespace = () => addon().homeNamespace()): HomeNamespace {
  try {
    return ask();
  } catch (error) {
    if (errnoOf(error) !== 'ENOPROTOOPT') throw error;
    throw lackingError(release(), ['cookies of network namespaces (SO_NETNS_COOKIE, 5.14)']);
  }
}

/** Inode of the network namespace a task is in now; null when it is gone. */
export function namespaceOf(tid: number): number | null {
  try {
    return Number(/^net:\[(\d+)\]$/.exec(readlinkSync(`/proc/${tid}/ns/net`))?.[1] ?? Number.NaN) || null;
  } catch {
    return null;
  }
}

/** As /proc/PID/ns/net shows it. */
export function namespaceText(inode: number): string {
  return `net:[${inode}]`;
}
