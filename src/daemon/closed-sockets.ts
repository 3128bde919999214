/**
 * The Unix sockets that are closed to agents: which file each is bound to now, so that the kernel knows it under any
 * name, and where it lies, so that it knows one that a service makes anew before this has looked again.
 */

import { closeSync, constants, openSync, readdirSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type FileId, fileIdOf } from '../identity/file-id.ts';
import type { ClosedSockets } from '../kernel/enrolment.ts';
import { agentId } from '../policy/agent-id.ts';
import type { CompiledPolicy } from '../policy/types.ts';

/** Not in node:fs; asm-generic/fcntl.h. A socket cannot be opened in another way. */
const O_PATH = 0o10000000;
/** A star may stand for many users' directories; the kernel's tables hold 8,192. */
const MAX_PATHS = 4_096;

/** Id of a path in the kernel's tables and events. */
export const closedSocketId = (path: string): number => agentId(path);

/** What a path with stars stands for now; one without is itself, there or not. */
export function expand(pattern: string): string[] {
  let found = ['/'];
  for (const part of pattern.split('/').filter((name) => name !== ''))
    found = found.flatMap((directory) =>
      part === '*' ? namesIn(directory).map((name) => join(directory, name)) : [join(directory, part)],
    );
  return found;
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
}

/** Null for what is not there, and for what goes away meanwhile. */
function idOf(path: string, flags = 0): FileId | null {
  let fd: number;
  try {
    fd = openSync(path, O_PATH | flags);
  } catch {
    return null;
  }
  try {
    return fileIdOf(fd);
  } catch {
    return null;
  } finally {
    closeSync(fd);
  }
}

function realOf(path: string): string | null {
  try {
    return realpathSync(path);
  } catch {
    return null;
  }
}

/** Where it lies, or would, when all links are followed; null without its directory. */
function placeOf(path: string): string | null {
  const real = realOf(path);
  if (real !== null) return real;
  const directory = realOf(dirname(path));
  return directory === null ? null : join(directory, basename(path));
}

export interface FoundSockets extends ClosedSockets {
  /** Every path that was looked for, to be watched. */
  readonly watched: readonly string[];
}

/** One that is made anew all the time: whatever lies there is closed. */
export function placeOnly(path: string): ClosedSockets['places'][number] | null {
  const place = placeOf(path);
  const directory = place === null ? null : idOf(dirname(place), constants.O_DIRECTORY);
  if (place === null || directory === null) return null;
  return {
    directoryInode: directory.inode,
    dev: directory.dev,
    name: basename(place),
    id: closedSocketId(path),
  };
}

/** Looks for the sockets now; `paths` as policy has them. */
export function findClosedSockets(paths: readonly string[]): FoundSockets {
  const files: ClosedSockets['files'][number][] = [];
  const places: ClosedSockets['places'][number][] = [];
  const watched: string[] = [];
  for (const pattern of paths)
    for (const path of expand(pattern)) {
      if (watched.length === MAX_PATHS) return { files, places, watched };
      watched.push(path);
      const id = closedSocketId(pattern);
      const file = idOf(path);
      if (file !== null) files.push({ ...file, id });
      const place = placeOnly(path);
      if (place !== null) places.push({ ...place, id });
    }
  return { files, places, watched };
}

/** The path of a policy that has this id. */
export function closedSocketOf(policy: Pick<CompiledPolicy, 'closedSockets'>, id: number): string | null {
  return policy.closedSockets.find((path) => closedSocketId(path) === id) ?? null;
}
