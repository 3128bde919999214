/**
 * Takes Sluice out of the kernel: the one way by which agents become ungoverned. Stopping the daemon is not.
 */
import { existsSync } from 'node:fs';
import { findCgroup2, removeCgroup, sluiceCgroups } from '../kernel/cgroup.ts';
import { removePins } from '../kernel/pins.ts';
import { lockPins, takeLock } from './lock.ts';
import type { UninstallOptions } from './options.ts';

export type { UninstallOptions } from './options.ts';

/**
 * Removes links, maps and cgroups; what it removed, as text.
 *
 * @throws SluiceError ALREADY_RUNNING while a daemon runs.
 */
export function uninstall(options: UninstallOptions): string[] {
  takeLock(options.runtimeDirectory);
  if (existsSync(options.pinDirectory)) lockPins(options.pinDirectory);
  const removed = removePins(options.pinDirectory);
  const directory = `${findCgroup2()}${sluiceCgroups.root}`;
  if (removeCgroup(directory)) removed.push(directory);
  return removed;
}
