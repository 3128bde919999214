/**
 * The files that policy enrols as executables: which device and inode the kernel will see, where they lie, and
 * whether one that is pinned has the content policy says.
 */
import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync, realpathSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { BoundedMap } from '../core/bounded-map.ts';
import { type FileId, fileIdOf } from '../identity/file-id.ts';

const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
const CHUNK_BYTES = 1024 * 1024;
/** Larger ones are refused as pinned: nothing else is done while one is read. */
const MAX_HASHED_BYTES = 1024n ** 3n;
/** A file changed this recently might change again under the same time stamp; its digest is not remembered. */
const SETTLED_MS = 1_000;

export interface Executable {
  readonly id: FileId;
  /** Where it lies when all links are followed: what is put there instead is looked at by the kernel as it runs. */
  readonly place: { readonly directory: FileId; readonly name: string };
  /** Hex; null unless asked for. */
  readonly sha256: string | null;
}

const digests = new BoundedMap<string, string>(4_096);

function digestOf(fd: number): string {
  const stat = fstatSync(fd, { bigint: true });
  const key = [stat.dev, stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join(':');
  const known = digests.get(key);
  if (known !== undefined) return known;
  if (stat.size > MAX_HASHED_BYTES) throw new Error('it is too large to be hashed');
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  let position = 0;
  for (;;) {
    const length = readSync(fd, buffer, 0, buffer.length, position);
    if (length === 0) break;
    position += length;
    // One that grows while it is read would be read for as long as it grows.
    if (BigInt(position) > stat.size) throw new Error('it changes while it is read');
    hash.update(buffer.subarray(0, length));
  }
  const digest = hash.digest('hex');
  if (Date.now() - Number(stat.ctimeNs / 1_000_000n) > SETTLED_MS) digests.set(key, digest);
  return digest;
}

function openedId(path: string, flags: number): FileId {
  const fd = openSync(path, flags);
  try {
    return fileIdOf(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Looks at the file as it is now; `hashed`: with its digest.
 *
 * @throws Error that says why it cannot be used.
 */
export function lookAtExecutable(path: string, hashed: boolean): Executable {
  const real = realpathSync(path);
  const fd = openSync(real, OPEN_FLAGS);
  try {
    if (!fstatSync(fd).isFile()) throw new Error('not a file');
    const sha256 = hashed ? digestOf(fd) : null;
    const directory = openedId(dirname(real), OPEN_FLAGS | constants.O_DIRECTORY);
    return { id: fileIdOf(fd), place: { directory, name: basename(real) }, sha256 };
  } finally {
    closeSync(fd);
  }
}
