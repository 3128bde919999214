/**
 * Listening on a unix socket that only root may open. Who can reach it can stop agents from connecting and
 * read where they connect, so there is no moment at which it has wider permissions, and no directory around
 * it that somebody else may write: there they could put a socket of their own in its place.
 */
import { chmodSync, lstatSync, mkdirSync, unlinkSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';
import { errnoOf, SluiceError } from '../core/errors.ts';

/** What the kernel allows: `sun_path` is 108 bytes with its final zero. */
const MAX_SOCKET_PATH_BYTES = 107;

/**
 * Binds `server` to `path` with mode 0600, making its directory (0700) if there is none. A socket that a dead
 * daemon left is replaced. Throws SluiceError `ALREADY_RUNNING` if somebody answers there, `CONFIG` if the
 * path cannot be used, `PERMISSION`.
 */
export async function listenPrivately(server: Server, path: string): Promise<void> {
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
    const hint = `give a shorter --runtime-dir; a socket's path has at most ${MAX_SOCKET_PATH_BYTES} bytes`;
    throw new SluiceError('CONFIG', `socket path too long: ${path}`, { hint });
  }
  makeDirectory(dirname(path));
  await removeStale(path);
  await bind(server, path);
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw unusable(path, error);
  }
  const stat = lstatSync(path);
  // The sticky bit does not help: it guards what is there, and at this moment the socket is not.
  if (stat.uid !== process.geteuid?.() || (stat.mode & 0o022) !== 0) {
    throw new SluiceError('CONFIG', `${path} belongs to another user or can be written by others`, {
      hint: 'give a --runtime-dir that only the user of the daemon may write',
    });
  }
}

async function removeStale(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) {
    throw new SluiceError('CONFIG', `${path} exists and is not a socket`, { hint: 'move it away' });
  }
  if (await answers(path)) {
    throw new SluiceError('ALREADY_RUNNING', `another daemon answers on ${path}`, {
      hint: 'one daemon per host: see `sluice status`, stop it with `systemctl stop sluice`',
    });
  }
  unlinkSync(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    // ECONNREFUSED: nobody listens. Anything else is found again, and reported, by bind().
    socket.once('error', () => resolve(false));
  });
}

function bind(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: unknown): void => reject(unusable(path, error));
    server.once('error', failed);
    // Node binds a unix socket within this call, so the mask is in force exactly as long as it must be.
    const mask = process.umask(0o177);
    try {
      server.listen({ path }, () => {
        server.off('error', failed);
        chmodSync(path, 0o600);
        resolve();
      });
    } finally {
      process.umask(mask);
    }
  });
}

function unusable(path: string, cause: unknown): SluiceError {
  const errno = errnoOf(cause) ?? 'unknown error';
  const denied = errno === 'EACCES' || errno === 'EPERM';
  return new SluiceError(denied ? 'PERMISSION' : 'CONFIG', `cannot listen at ${path}: ${errno}`, {
    cause,
    hint: denied ? 'run the daemon as root' : 'choose another --runtime-dir',
  });
}
