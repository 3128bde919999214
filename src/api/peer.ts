/**
 * Who is at the other end of a connection to the API, as the kernel knows them (SO_PEERCRED, unix(7)): those they were when they
 * connected. Everybody there is root, so whoever logged in to become it is looked up as well.
 */
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { type Answerer, USER_NAME_MAX_CHARS } from '../flow/hold.ts';
import { peerCredentials } from '../kernel/descriptors.ts';
import { fdOf } from '../proxy/socket-fd.ts';
import { ApiError } from './errors.ts';

/** loginuid of a process nobody has logged in for (proc(5)). */
const NOBODY = 2 ** 32 - 1;

/** @throws ApiError when the connection is closed already */
export function peerOf(socket: Socket): Answerer {
  const fd = fdOf(socket);
  if (fd === null) throw new ApiError('BAD_REQUEST', 'the connection is closed');
  const { pid, uid } = peerCredentials(fd);
  const passwd = readOrEmpty('/etc/passwd');
  const login = /^\d+$/.exec(readOrEmpty(`/proc/${pid}/loginuid`).trim())?.[0];
  const loginUid = login === undefined ? NOBODY : Number(login);
  return { uid, user: userName(uid, passwd), login: loginUid === NOBODY ? null : userName(loginUid, passwd) };
}

/** By passwd(5). Null: it has no name there. */
export function userName(uid: number, passwd: string): string | null {
  for (const line of passwd.split('\n')) {
    const [name = '', , id] = line.split(':');
    if (id !== undefined && id !== '' && Number(id) === uid) return name.slice(0, USER_NAME_MAX_CHARS);
  }
  return null;
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
