/** One daemon per host: a lock that goes with the process, however it ends. */
import { closeSync, constants, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { errnoOf, SluiceError } from '../core/errors.ts';
import { addon, kernelError } from '../kernel/addon.ts';

function holder(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}

function lock(path: string, pidFile: string): void {
  try {
    addon().lockFile(path);
  } catch (error) {
    if (errnoOf(error) !== 'EAGAIN' && errnoOf(error) !== 'EWOULDBLOCK')
      throw kernelError(`${path} cannot be locked`, error);
    const pid = holder(pidFile);
    throw new SluiceError(
      'ALREADY_RUNNING',
      `a daemon is running already${pid === '' ? '' : ` (pid ${pid})`}`,
      {
        hint: 'one daemon serves the whole host; see `sluice status`, or stop it first',
        cause: error,
      },
    );
  }
}

/** Follows no link: the daemon is root, and would write its pid over whatever somebody made it point to. */
function openLockFile(path: string): number {
  const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;
  try {
    return openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
  } catch (error) {
    throw kernelError(`${path} cannot be opened`, error);
  }
}

/**
 * Takes the lock in the runtime directory, made if need be.
 *
 * @throws SluiceError ALREADY_RUNNING, with the pid of the other daemon.
 */
export function takeLock(runtimeDirectory: string): void {
  mkdirSync(runtimeDirectory, { recursive: true, mode: 0o700 });
  const path = `${runtimeDirectory}/daemon.lock`;
  const fd = openLockFile(path);
  try {
    lock(path, path);
    ftruncateSync(fd);
    writeSync(fd, `${process.pid}\n`);
  } finally {
    closeSync(fd);
  }
}

/**
 * Takes the lock of the pins, for a daemon with a runtime directory of its own must not take them over.
 *
 * @throws SluiceError ALREADY_RUNNING.
 */
export function lockPins(pinDirectory: string): void {
  lock(pinDirectory, '');
}
