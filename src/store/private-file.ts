/**
 * Makes sure that only the daemon's user can read or replace a file: flow records tell who talks to whom.
 */
import { closeSync, constants, fchmodSync, fstatSync, mkdirSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { SluiceError } from '../core/errors.ts';

const OTHERS_WRITE = 0o022;

/**
 * Makes the file (0600) and its directory (0700) if they are not there, and takes others' rights from the file. An
 * existing directory is left as it is, since it may serve others too, unless others could replace the file in it.
 * Throws SluiceError `PERMISSION` then, or if the file is a symbolic link or not a file; system errors as they are.
 */
export function makePrivateFile(path: string): void {
  const dir = dirname(path);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const { mode, uid } = statSync(dir);
  if ((mode & OTHERS_WRITE) !== 0 || (uid !== 0 && uid !== process.geteuid?.())) {
    throw new SluiceError('PERMISSION', `others can write to ${dir}, so ${path} would not be safe there`, {
      hint: `chown root ${dir} && chmod 0700 ${dir}, or name another directory`,
    });
  }
  const fd = openPrivate(path);
  try {
    if (!fstatSync(fd).isFile()) throw new SluiceError('PERMISSION', `${path} is not a file`);
    fchmodSync(fd, 0o600);
  } finally {
    closeSync(fd);
  }
}

function openPrivate(path: string): number {
  try {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    return openSync(path, flags, 0o600);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ELOOP') {
      throw new SluiceError('PERMISSION', `${path} is a symbolic link`, { cause: error });
    }
    throw error;
  }
}
