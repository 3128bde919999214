/** Tells SQLite's errors apart by their primary result code (https://sqlite.org/rescode.html). */
import { messageOf } from '../core/errors.ts';

const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;
const SQLITE_FULL = 13;

/** The low byte of the extended result code, or null for anything that SQLite did not throw. */
function primaryCode(error: unknown): number | null {
  if (typeof error !== 'object' || error === null || !('errcode' in error)) return null;
  return typeof error.errcode === 'number' ? error.errcode & 0xff : null;
}

/** The connection is as good as before: there was no room, or somebody else was writing. */
export function leavesConnectionUsable(error: unknown): boolean {
  const code = primaryCode(error);
  return code === SQLITE_FULL || code === SQLITE_BUSY || code === SQLITE_LOCKED;
}

/** What to tell the operator. */
export function describeStoreError(error: unknown): string {
  const code = primaryCode(error);
  if (code === SQLITE_FULL) return 'no room left for the flow store: the disk is full';
  if (code === SQLITE_BUSY || code === SQLITE_LOCKED) return 'another process holds the flow store locked';
  return code === null ? messageOf(error) : `${messageOf(error)} (SQLite ${code})`;
}
