/**
 * Network namespaces as the daemon meets them: found by a task that is in one, known by the kernel's cookie (never
 * used again) and by the inode that people see (`net:[4026532008]`).
 */
import { readlinkSync } from 'node:fs';
import { addon } from './addon.ts';

export interface NamespaceHandle {
  /** Keeps the namespace alive until it is closed. */
  readonly fd: number;
  readonly cookie: bigint;
  readonly inode: number;
  /** Who made the user namespace it belongs to; null: it belongs to the initial one. */
  readonly ownerUid: number | null;
}

/** @throws Node-like errors: ENOENT or ESRCH for a task that is gone. */
export function openNamespace(tid: number): NamespaceHandle {
  return addon().openNamespace(tid);
}

export function homeNamespace(): { readonly cookie: bigint; readonly inode: number } {
  return addon().homeNamespace();
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
