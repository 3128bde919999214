/**
 * Takes Sluice out of the kernel: the one way by which agents become ungoverned. Stopping the daemon is not.
 */
import { existsSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { SluiceError } from '../core/errors.ts';
import { findCgroup2, removeCgroup, sluiceCgroups } from '../kernel/cgroup.ts';
import { removePins } from '../kernel/pins.ts';
import { lockPins, takeLock } from './lock.ts';
import type { UninstallOptions } from './options.ts';

export type { UninstallOptions } from './options.ts';

/** A daemon that was told to stop, or killed, holds its locks until the kernel has cleared it away. */
const PATIENCE_MS = 2_000;
const RETRY_MS = 50;

async function patiently(lock: () => void): Promise<void> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      lock();
      return;
    } catch (error) {
      if (
        !(error instanceof SluiceError) ||
        error.code !== 'ALREADY_RUNNING' ||
        performance.now() > deadlineMs
      )
        throw error;
    }
    await setTimeout(RETRY_MS);
  }
}

/** Sluice's cgroups, if there are any: without a hierarchy of version 2 none could be made. */
function ownCgroups(): string | null {
  try {
    const directory = `${findCgroup2()}${sluiceCgroups.root}`;
    return existsSync(directory) ? directory : null;
  } catch (error) {
    if (error instanceof SluiceError && error.code === 'NOT_SUPPORTED') return null;
    throw error;
  }
}

/**
 * Removes links, maps and cgroups; what it removed, as text.
 *
 * @throws SluiceError ALREADY_RUNNING while a daemon runs.
 */
export async function uninstall(options: UninstallOptions): Promise<string[]> {
  await patiently(() => takeLock(options.runtimeDirectory));
  if (existsSync(options.pinDirectory)) await patiently(() => lockPins(options.pinDirectory));
  const removed = removePins(options.pinDirectory);
  const directory = ownCgroups();
  if (directory !== null && removeCgroup(directory)) removed.push(directory);
  return removed;
}
