/**
 * Keeps the files that are enrolled as executables from being forgotten by the file system. The kernel knows them by device and
 * inode; the number of a file that is deleted is given to the next one, whoever makes it, and what runs that would be
 * the agent. A file that somebody holds open keeps its number.
 */
import { closeSync, openSync } from 'node:fs';
import { fileIdOf } from '../identity/file-id.ts';

/** open(2), the same on every architecture there is a build for; Node does not name it. It takes no right to read. */
const O_PATH = 0o10000000;

export interface KnownFile {
  readonly dev: number;
  readonly inode: bigint;
}

export class HeldExecutables {
  #fds: readonly number[] = [];

  /**
   * Holds the files of these tables in place of the former ones. To be called when the kernel goes by the tables, and by the former
   * no more.
   *
   * @returns false where a path leads to another file by now: the tables have to be made anew
   */
  hold(paths: readonly string[], files: readonly KnownFile[]): boolean {
    const former = this.#fds;
    const found = paths.flatMap((path) => opened(path) ?? []);
    this.#fds = found.map(({ fd }) => fd);
    for (const fd of former) closeSync(fd);
    const isHeld = (file: KnownFile): boolean =>
      found.some(({ id }) => id.dev === file.dev && id.inode === file.inode);
    return files.every(isHeld);
  }

  close(): void {
    this.hold([], []);
  }
}

function opened(path: string): { readonly fd: number; readonly id: KnownFile } | null {
  try {
    const fd = openSync(path, O_PATH);
    try {
      return { fd, id: fileIdOf(fd) };
    } catch {
      closeSync(fd);
    }
  } catch {
    // It is gone, which is told by its not being held.
  }
  return null;
}
