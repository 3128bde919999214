/** What a worker asks of the kernel: the flow of an accepted socket, and to be made harmless. */
import { readFileSync } from 'node:fs';
import { SluiceError } from '../core/errors.ts';
import { addon } from './addon.ts';
import type { KernelFlow } from './facts.ts';
import { decodeFlow, layout } from './layout.ts';

const flowBytes = Buffer.alloc(layout.sluice_flow.size);

/** The connection behind an accepted socket; null if no agent made it. One getsockopt(2). */
export function readFlow(fd: number): KernelFlow | null {
  if (!addon().readFlow(fd, flowBytes)) return null;
  const facts = decodeFlow(flowBytes);
  return facts.agentId === 0 ? null : { facts, text: flowBytes.toString('hex') };
}

/**
 * Gives up root for good, and with it every capability, on all threads; then no new privileges, no core dumps, no
 * ptrace by others of the same user, and death with the daemon. Called when all code is loaded (an unprivileged
 * user may not be able to read it) and before the first byte of traffic.
 *
 * @throws when the process is still privileged afterwards.
 */
export function dropPrivileges(uid: number, gid: number): void {
  if (process.getuid?.() === 0) {
    process.setgroups?.([]);
    process.setgid?.(gid);
    process.setuid?.(uid);
  }
  addon().harden({ noNewPrivs: true, dieWithParent: true });
  const capabilities = /^CapEff:\t0*$/m.test(readFileSync('/proc/self/status', 'utf8'));
  if (process.getuid?.() !== uid || process.getgid?.() !== gid || !capabilities)
    throw new SluiceError('PERMISSION', 'the worker could not give up its privileges');
}

/** The end of the process that started this one no longer ends it: another is to take its place. */
export function outliveDaemon(): void {
  addon().outliveParent();
}

/** Raises the soft limit of descriptors to the hard one; returns it. */
export function raiseFileLimit(): number {
  return addon().raiseFileLimit();
}
