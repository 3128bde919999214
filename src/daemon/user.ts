/** The unprivileged user of the workers. */
import { readFileSync } from 'node:fs';
import { SluiceError } from '../core/errors.ts';

export interface WorkerUser {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Looks a user up in passwd(5).
 *
 * @throws SluiceError CONFIG when there is none, or it is root: workers read hostile bytes.
 */
export function findUser(name: string, passwd: string = readFileSync('/etc/passwd', 'utf8')): WorkerUser {
  for (const line of passwd.split('\n')) {
    const fields = line.split(':');
    if (fields[0] !== name) continue;
    const uid = Number(fields[2]);
    const gid = Number(fields[3]);
    if (!Number.isInteger(uid) || !Number.isInteger(gid) || uid === 0 || gid === 0)
      throw new SluiceError('CONFIG', `user ${name} cannot run workers: it is root or has no ids`, {
        hint: 'give an unprivileged user with --worker-user',
      });
    return { uid, gid };
  }
  throw new SluiceError('CONFIG', `there is no user ${name} for the workers`, {
    hint: `useradd --system --no-create-home --shell /usr/sbin/nologin ${name}, or give another with --worker-user`,
  });
}
