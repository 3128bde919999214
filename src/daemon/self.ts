/** The daemon as a process: where it lives, what it is a version of, and how it is hardened. */
import { readFileSync } from 'node:fs';
import { addon } from '../kernel/addon.ts';
import { ownCgroup, sluiceCgroups } from '../kernel/cgroup.ts';

/** Where the daemon and its workers live: a service's own cgroup, or one of Sluice's. */
export function ownPlace(): string {
  const current = ownCgroup();
  // A service is alone in its cgroup. Anywhere else there are neighbours, which must not share our exemption.
  const isService = process.env['INVOCATION_ID'] !== undefined && current.endsWith('.service');
  return isService ? current : sluiceCgroups.daemon;
}

/** Version of this installation, from package.json. */
export function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return String((JSON.parse(text) as { version?: unknown }).version);
}

/** Hardens the process: no core dumps with policy's keys in them, and descriptors for every flow. */
export function harden(): void {
  addon().harden({ noNewPrivs: false, dieWithParent: false });
  addon().raiseFileLimit();
}
