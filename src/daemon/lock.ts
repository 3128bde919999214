/** One daemon per host: a lock that goes with the process, however it ends. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { errnoOf, SluiceError } from '../core/errors.ts';
import { addon, kernelError } from '../kernel/addon.ts';

function holder(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}

/**
 * Takes the lock in `directory`, made if need be.
 *
 * @throws SluiceError ALREADY_RUNNING, with the pid of the other daemon.
 */
export function takeLock(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const path = `${directory}/daemon.lock`;
  try {
    addon().lockFile(path);
  } catch (error) {
    if (errnoOf(error) !== 'EAGAIN' && errnoOf(error) !== 'EWOULDBLOCK')
      throw kernelError(`${path} cannot be locked`, error);
    const pid = holder(path);
    throw new SluiceError(
      'ALREADY_RUNNING',
      `a daemon is running already${pid === '' ? '' : ` (pid ${pid})`}`,
      {
        hint: 'one daemon serves the whole host; see `sluice status`, or stop it first',
        cause: error,
      },
    );
  }
  writeFileSync(path, `${process.pid}\n`);
}
