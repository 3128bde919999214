/**
 * The flow store: SQLite through node:sqlite, written by the daemon alone.
 *
 * It never stands in the way of enforcement: `append` does not throw and does not wait for the disk (WAL,
 * synchronous=NORMAL: a power failure may cost the last records, never the file). When the store cannot be written,
 * it is *degraded*: records wait in memory up to a bound, writing is tried again at growing intervals, and what does not fit
 * is dropped and counted. `health()` says so.
 *
 * Each record that was taken over is *settled* once: when it is stored, so that not even SIGKILL takes it away any more,
 * or when the store cannot say that it will be. Whoever could make the record again keeps what it takes until then.
 */
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { type Clock, systemClock } from '../core/clock.ts';
import { SluiceError } from '../core/errors.ts';
import type { FlowRecord } from '../flow/record.ts';
import type { FlowFilter } from './filter.ts';
import { type FlowPage, readPage } from './flow-reader.ts';
import { makePrivateFile } from './private-file.ts';
import { pruneStep, type Retention, ROWS_BETWEEN_STEPS, storeSize } from './retention.ts';
import { migrate } from './schema.ts';
import { describeStoreError, leavesConnectionUsable } from './sqlite-error.ts';

/** Records in one transaction: about 10 ms of the daemon's time. */
const BATCH_ROWS = 512;
/** How long a record may wait for others to be written with. */
const BATCH_MS = 100;
/** Records waiting while the store cannot be written: some ten thousand. */
const MAX_BACKLOG_BYTES = 16 * 1024 * 1024;
const FIRST_RETRY_MS = 250;
const MAX_RETRY_MS = 30_000;
/** Without new records, age still has to be looked at. */
const PRUNE_INTERVAL_MS = 60_000;

export interface FlowStoreOptions {
  readonly clock?: Clock;
  readonly maxBacklogBytes?: number;
  /** A size of the file at which SQLite itself refuses to write more; for a disk shared with what matters more. */
  readonly hardMaxBytes?: number;
  /** Told of each record, with its text as it was handed in, once it is settled. Must not throw. */
  readonly onSettled?: (id: string, json: string) => void;
}

export interface StoreHealth {
  readonly state: 'ok' | 'degraded';
  readonly path: string;
  readonly rows: number;
  /** Of the database file, without its write-ahead log. */
  readonly bytes: number;
  /** Why the last attempt failed; null when `ok`. */
  readonly error: string | null;
  /** When it became degraded, RFC 3339; null when `ok`. */
  readonly since: string | null;
  /** Failed attempts since the store was opened. */
  readonly errors: number;
  /** Records waiting to be written. */
  readonly backlog: number;
  /** Records given up since the store was opened. */
  readonly dropped: number;
}

interface Row {
  readonly id: string;
  readonly json: string;
  readonly bytes: number;
  settled: boolean;
  readonly values: readonly (string | number | null)[];
}

interface Connection {
  readonly db: DatabaseSync;
  readonly insert: StatementSync;
  readonly find: StatementSync;
}

export class FlowStore {
  readonly #path: string;
  readonly #retention: Retention;
  readonly #clock: Clock;
  readonly #maxBacklogBytes: number;
  readonly #hardMaxBytes: number | null;
  readonly #onSettled: (id: string, json: string) => void;
  #connection: Connection | null = null;
  #queue: Row[] = [];
  readonly #queued = new Set<string>();
  #queuedBytes = 0;
  #timer: NodeJS.Timeout | null = null;
  #timerMs = 0;
  #rows = 0;
  #bytes = 0;
  #prunedMs = Number.NEGATIVE_INFINITY;
  /** Rows written since. */
  #unpruned = 0;
  #errors = 0;
  #dropped = 0;
  #trouble: { readonly error: string; readonly sinceMs: number; waitMs: number; retryAtMs: number } | null =
    null;
  #closed = false;

  private constructor(path: string, retention: Retention, options: FlowStoreOptions) {
    this.#path = path;
    this.#retention = retention;
    this.#clock = options.clock ?? systemClock;
    this.#maxBacklogBytes = options.maxBacklogBytes ?? MAX_BACKLOG_BYTES;
    this.#hardMaxBytes = options.hardMaxBytes ?? null;
    this.#onSettled = options.onSettled ?? (() => {});
  }

  /**
   * Opens or makes the store, its file 0600 in a 0700 directory. Throws a SluiceError where only a person can help: a file
   * made by a newer version (`STORE`), a directory others can write to (`PERMISSION`). Any other trouble (a full or
   * read-only disk, a damaged file) gives a degraded store: the daemon must start without it.
   */
  static open(path: string, retention: Retention, options: FlowStoreOptions = {}): FlowStore {
    const store = new FlowStore(path, retention, options);
    try {
      store.#connect();
    } catch (error) {
      if (error instanceof SluiceError) throw error;
      store.#failed(error);
    }
    return store;
  }

  /** Takes a record over, with its text as JSON. A record whose id is stored already is ignored. */
  append(record: FlowRecord, json: string): void {
    this.#enqueue(record, json);
    if (this.#queue.length >= BATCH_ROWS) this.flush();
    else this.#schedule(BATCH_MS);
  }

  /** Writes what waits, unless the store is degraded and it is not yet time to try again. */
  flush(): void {
    if (this.#trouble !== null && this.#clock.monotonic() < this.#trouble.retryAtMs) return;
    this.#write();
  }

  /** Whether a record with the id waits to be settled. */
  isUnsettled(id: string): boolean {
    return this.#trouble === null && this.#queued.has(id);
  }

  /** Whether the id is stored or waits to be. */
  has(id: string): boolean {
    if (this.#queued.has(id)) return true;
    try {
      return this.#connection?.find.get(id) !== undefined;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  /**
   * Records that match, oldest first, what was appended until now included. While degraded: what is stored. Throws
   * SluiceError `CONFIG` for a filter that cannot be read, `STORE` if the store cannot.
   */
  page(filter: FlowFilter): FlowPage {
    this.flush();
    if (this.#connection === null) throw this.#unreadable();
    try {
      return readPage(this.#connection.db, filter);
    } catch (error) {
      if (error instanceof SluiceError) throw error;
      this.#failed(error);
      throw this.#unreadable();
    }
  }

  query(filter: FlowFilter): FlowRecord[] {
    return this.page(filter).records;
  }

  health(): StoreHealth {
    const trouble = this.#trouble;
    return {
      state: trouble === null ? 'ok' : 'degraded',
      path: this.#path,
      rows: this.#rows,
      bytes: this.#bytes,
      error: trouble?.error ?? null,
      since: trouble === null ? null : new Date(trouble.sinceMs).toISOString(),
      errors: this.#errors,
      backlog: this.#queue.length,
      dropped: this.#dropped,
    };
  }

  /** Writes what waits, whatever the state; what cannot be written is dropped and counted. */
  close(): void {
    if (this.#closed) return;
    this.#write();
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#dropped += this.#queue.length;
    this.#queue = [];
    this.#queued.clear();
    this.#disconnect();
  }

  #enqueue(record: FlowRecord, json: string): void {
    const bytes = Buffer.byteLength(json);
    const { id } = record;
    if (this.#closed || this.#queuedBytes + bytes > this.#maxBacklogBytes) {
      this.#dropped++;
      this.#onSettled(id, json);
      return;
    }
    if (this.#queued.has(id)) return;
    this.#queued.add(id);
    this.#queuedBytes += bytes;
    const row = { id, json, bytes, settled: false, values: this.#columns(record, json) };
    this.#queue.push(row);
    if (this.#trouble !== null) this.#settle(row);
  }

  #settle(row: Row): void {
    if (row.settled) return;
    row.settled = true;
    this.#onSettled(row.id, row.json);
  }

  #columns(record: FlowRecord, json: string): Row['values'] {
    const { id, agent, dst, disposition, verdict, reason } = record;
    const nowMs = this.#clock.now();
    const timeMs = Date.parse(record.time);
    return [
      id,
      Number.isNaN(timeMs) ? nowMs : timeMs,
      nowMs,
      agent,
      dst.ip,
      dst.port,
      dst.host,
      dst.name,
      disposition,
      verdict,
      reason,
      json,
    ];
  }

  /** One timer at a time: what comes sooner takes the place of what was to come later. */
  #schedule(afterMs: number): void {
    if (this.#closed || (this.#timer !== null && this.#timerMs <= afterMs)) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timerMs = afterMs;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.flush();
      this.#schedule(this.#trouble?.waitMs ?? PRUNE_INTERVAL_MS);
    }, afterMs);
    this.#timer.unref();
  }

  #write(): void {
    if (this.#closed) return;
    try {
      const connection = this.#connection ?? this.#connect();
      while (this.#queue.length > 0) this.#writeBatch(connection);
      const nowMs = this.#clock.monotonic();
      if (nowMs - this.#prunedMs >= PRUNE_INTERVAL_MS) this.#prune(connection.db);
      this.#trouble = null;
    } catch (error) {
      this.#failed(error);
    }
  }

  #writeBatch({ db, insert }: Connection): void {
    const batch = this.#queue.slice(0, BATCH_ROWS);
    let added = 0;
    db.exec('BEGIN IMMEDIATE');
    for (const row of batch) added += Number(insert.run(...row.values).changes);
    db.exec('COMMIT');
    this.#rows += added;
    this.#queue.splice(0, batch.length);
    for (const row of batch) {
      this.#queued.delete(row.id);
      this.#queuedBytes -= row.bytes;
      this.#settle(row);
    }
    this.#unpruned += added;
    if (this.#unpruned >= ROWS_BETWEEN_STEPS || this.#rows > this.#retention.maxRows) this.#prune(db);
  }

  #prune(db: DatabaseSync): void {
    this.#rows -= pruneStep(db, this.#rows, this.#retention, this.#clock.now());
    this.#bytes = storeSize(db).bytes;
    this.#prunedMs = this.#clock.monotonic();
    this.#unpruned = 0;
  }

  #connect(): Connection {
    makePrivateFile(this.#path);
    // No waiting for locks: the daemon would stand still. Nobody else writes, and readers do not lock in WAL.
    const db = new DatabaseSync(this.#path, { timeout: 0 });
    try {
      // auto_vacuum first: it must be set before the file has any table.
      db.exec('PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;');
      db.exec('PRAGMA journal_size_limit = 8388608');
      if (this.#hardMaxBytes !== null) this.#limitSize(db, this.#hardMaxBytes);
      migrate(db, this.#path);
      this.#rows = Number(db.prepare('SELECT count(*) AS rows FROM flow').get()?.['rows'] ?? 0);
      this.#bytes = storeSize(db).bytes;
      const connection = {
        db,
        insert: db.prepare(
          `INSERT OR IGNORE INTO flow (id, time_ms, stored_ms, agent, dst_ip, dst_port, dst_host, dst_name,
             disposition, verdict, reason, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        ),
        find: db.prepare('SELECT 1 FROM flow WHERE id = ?'),
      };
      this.#connection = connection;
      return connection;
    } catch (error) {
      db.close();
      throw error;
    }
  }

  #limitSize(db: DatabaseSync, maxBytes: number): void {
    const pageBytes = Number(db.prepare('PRAGMA page_size').get()?.['page_size'] ?? 4_096);
    db.exec(`PRAGMA max_page_count = ${Math.max(1, Math.floor(maxBytes / pageBytes))}`);
  }

  #disconnect(): void {
    try {
      this.#connection?.db.close();
    } catch {
      // It is given up either way.
    }
    this.#connection = null;
  }

  #failed(error: unknown): void {
    this.#errors++;
    if (leavesConnectionUsable(error)) this.#rollBack();
    else this.#disconnect();
    for (const row of this.#queue) this.#settle(row);
    const waitMs = Math.min(MAX_RETRY_MS, (this.#trouble?.waitMs ?? FIRST_RETRY_MS / 2) * 2);
    this.#trouble = {
      error: describeStoreError(error),
      sinceMs: this.#trouble?.sinceMs ?? this.#clock.now(),
      waitMs,
      retryAtMs: this.#clock.monotonic() + waitMs,
    };
    this.#schedule(waitMs);
  }

  #rollBack(): void {
    try {
      // SQLite may have rolled back by itself already.
      if (this.#connection?.db.isTransaction === true) this.#connection.db.exec('ROLLBACK');
    } catch {
      this.#disconnect();
    }
  }

  #unreadable(): SluiceError {
    return new SluiceError(
      'STORE',
      `the flow store cannot be read: ${this.#trouble?.error ?? 'it is closed'}`,
    );
  }
}
