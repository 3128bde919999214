/**
 * Keeps the store within its bounds, oldest first and in small steps: each step follows a number of writes and deletes
 * at most a few times as many rows, so that it keeps up without ever holding the daemon for long.
 */
import type { DatabaseSync } from 'node:sqlite';

export interface Retention {
  readonly maxRows: number;
  /** Of the database file; the write-ahead log beside it stays under a few megabytes. */
  readonly maxBytes: number;
  /** By when a record was written. */
  readonly maxAgeMs: number;
}

/** A step is due after this many rows, or as soon as there are too many of them. */
export const ROWS_BETWEEN_STEPS = 512;
/** Twice as many, so that pruning gains on writing. */
const ROWS_PER_STEP = 1_024;
/** 1 MiB of pages given back to the file system. */
const PAGES_PER_STEP = 256;

export interface StoreSize {
  readonly bytes: number;
  /** Bytes of pages that hold nothing any more. */
  readonly freeBytes: number;
}

export function storeSize(db: DatabaseSync): StoreSize {
  const pragma = (name: string): number => Number(db.prepare(`PRAGMA ${name}`).get()?.[name] ?? 0);
  const pageBytes = pragma('page_size');
  return { bytes: pragma('page_count') * pageBytes, freeBytes: pragma('freelist_count') * pageBytes };
}

/** One step; the number of rows deleted. Throws what SQLite throws. */
export function pruneStep(db: DatabaseSync, rows: number, retention: Retention, nowMs: number): number {
  const size = storeSize(db);
  const usedBytes = size.bytes - size.freeBytes;
  const excess = Math.max(0, usedBytes - retention.maxBytes) / Math.max(1, usedBytes);
  // What is too large is taken as so many rows of average size: a fixed number could empty a small store.
  const count = Math.min(ROWS_PER_STEP, Math.max(rows - retention.maxRows, Math.ceil(rows * excess)));
  let deleted = count <= 0 ? 0 : deleteOldest(db, count, Number.MAX_SAFE_INTEGER);
  const beforeMs = nowMs - retention.maxAgeMs;
  // Mostly none is too old, and to ask that of the oldest alone is far cheaper than of all that a step may delete.
  if (oldestMs(db) < beforeMs) deleted += deleteOldest(db, ROWS_PER_STEP, beforeMs);
  // Free pages are used again by later records; only a file over its bound is made smaller.
  if (size.bytes > retention.maxBytes) db.exec(`PRAGMA incremental_vacuum(${PAGES_PER_STEP})`);
  return deleted;
}

/** When the oldest row was written; infinity when there is none. */
function oldestMs(db: DatabaseSync): number {
  const row = db.prepare('SELECT stored_ms FROM flow ORDER BY seq LIMIT 1').get();
  return Number(row?.['stored_ms'] ?? Number.POSITIVE_INFINITY);
}

/** Of the oldest `count` rows those written before `beforeMs`: never looks at more, however large the table. */
function deleteOldest(db: DatabaseSync, count: number, beforeMs: number): number {
  const { changes } = db
    .prepare(
      `DELETE FROM flow WHERE seq IN (
         SELECT seq FROM (SELECT seq, stored_ms FROM flow ORDER BY seq LIMIT ?) WHERE stored_ms < ?)`,
    )
    .run(count, beforeMs);
  return Number(changes);
}
