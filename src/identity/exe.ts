/**
 * Finds and opens the executable of a flow's process.
 *
 * The kernel plane names it by device and inode; a path is only ever taken when the file opened through it is
 * that file. A process can lie about its path by mounting over it in a mount namespace of its own, so the text
 * of /proc/PID/exe is shown to people as it is, but counts as evidence (`pathVerified`) only if the same path, in our
 * own mount namespace, leads to the same file.
 */
import { isUtf8 } from 'node:buffer';
import { type BigIntStats, constants, readlinkSync } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../core/errors.ts';
import type { FlowFacts } from '../kernel/facts.ts';
import { type FileId, isFile } from './file-id.ts';

export interface OpenExe {
  /** Null where it is longer than the kernel tells (a page). */
  readonly path: string | null;
  readonly pathVerified: boolean;
  /** Whoever asked closes it. */
  readonly handle: FileHandle;
  readonly stat: BigIntStats;
}

export interface ExeFinder {
  readonly procRoot: string;
  /** Whether the pid is still that of the process that began then. */
  readonly isSameProcess: (pid: number, taskStartNs: bigint) => boolean;
  /** A path the kernel plane remembers for a file; it is verified before it is believed. */
  readonly pathHint: (dev: number, inode: bigint) => string | null;
  /** Wall clock of a CLOCK_BOOTTIME, milliseconds since the epoch. */
  readonly epochMs: (bootNs: bigint) => number;
}

// Non-blocking: a hint may by now name a FIFO, and opening one would wait for a writer.
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
/** How far a file's time stamps may lag behind the clock: the kernel's coarse clock, one tick at HZ=100. */
const STAMP_SLACK_MS = 20;

async function openAs(
  procRoot: string,
  path: string,
  facts: FlowFacts,
): Promise<Pick<OpenExe, 'handle' | 'stat'> | null> {
  const want: FileId = { dev: facts.exeDev, inode: facts.exeInode };
  const handle = await open(path, OPEN_FLAGS).catch(() => null);
  if (handle === null) return null;
  try {
    const found = await handle.stat({ bigint: true });
    if (found.isFile() && (await isFile(procRoot, handle.fd, found, facts.pid, want)))
      return { handle, stat: found };
  } catch {
    // Treated like another file: below.
  }
  await handle.close();
  return null;
}

/** Empty where it is too long to be told. */
function linkText(magicLink: string): Buffer | null {
  try {
    return readlinkSync(magicLink, { encoding: 'buffer' });
  } catch (error) {
    return errnoOf(error) === 'ENAMETOOLONG' ? Buffer.alloc(0) : null;
  }
}

/** The path in /proc/PID/exe, less the mark the kernel adds when it was unlinked. */
function shownPath(link: Buffer, found: BigIntStats): string | null {
  if (link.length === 0) return null;
  const text = link.toString();
  return found.nlink === 0n && text.endsWith(' (deleted)') ? text.slice(0, -' (deleted)'.length) : text;
}

/** Whether this path, in our own mount namespace, is that of the file. */
export async function leadsTo(path: string, found: BigIntStats): Promise<boolean> {
  const there = await stat(path, { bigint: true }).catch(() => null);
  return there !== null && there.dev === found.dev && there.ino === found.ino;
}

async function fromProcess(finder: ExeFinder, facts: FlowFacts): Promise<OpenExe | null> {
  const magicLink = join(finder.procRoot, String(facts.pid), 'exe');
  if (!finder.isSameProcess(facts.pid, facts.taskStartNs)) return null;
  const link = linkText(magicLink);
  if (link === null) return null;
  const opened = await openAs(finder.procRoot, magicLink, facts);
  if (opened === null) return null;
  const path = shownPath(link, opened.stat);
  // Only now is it known that the link belonged to that process, and not to the next one with its number.
  if (!finder.isSameProcess(facts.pid, facts.taskStartNs)) {
    await opened.handle.close();
    return null;
  }
  return {
    ...opened,
    path,
    pathVerified: path !== null && isUtf8(link) && (await leadsTo(path, opened.stat)),
  };
}

/**
 * The process is gone: all that is left is a path somebody saw before. A file touched since the flow began may be
 * another one that was given the freed inode number, so it is not believed.
 */
async function fromHint(finder: ExeFinder, facts: FlowFacts): Promise<OpenExe | null> {
  const path = finder.pathHint(facts.exeDev, facts.exeInode);
  if (path === null) return null;
  const opened = await openAs(finder.procRoot, path, facts);
  if (opened === null) return null;
  if (Number(opened.stat.ctimeNs / 1_000_000n) + STAMP_SLACK_MS >= finder.epochMs(facts.startNs)) {
    await opened.handle.close();
    return null;
  }
  return { ...opened, path, pathVerified: true };
}

/** The executable, open; null if it cannot be named for certain any more. */
export async function openExe(finder: ExeFinder, facts: FlowFacts): Promise<OpenExe | null> {
  return (await fromProcess(finder, facts)) ?? (await fromHint(finder, facts));
}
