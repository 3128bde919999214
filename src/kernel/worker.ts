/** What a worker asks of the kernel: the flow of an accepted socket, and to be made harmless. */
import { addon } from './addon.ts';
import type { FlowFacts } from './facts.ts';
import { decodeFlow } from './layout.ts';

/** Facts of the connection behind an accepted socket; null if no agent made it. One getsockopt(2). */
export function readFlow(fd: number): FlowFacts | null {
  const bytes = addon().readFlow(fd);
  return bytes === null ? null : decodeFlow(bytes);
}

/** No new privileges, no core dumps, no ptrace by others of the same user. Called before the first byte is read. */
export function dropPrivileges(): void {
  addon().harden({ noNewPrivs: true });
}

/** Raises the soft limit of descriptors to the hard one; returns it. */
export function raiseFileLimit(): number {
  return addon().raiseFileLimit();
}
