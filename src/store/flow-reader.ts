/**
 * Reading the flow store: what the daemon's own connection and the CLI's read-only one have in common. The CLI
 * reads the file itself only while no daemon is there to ask.
 */
import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { messageOf, SluiceError } from '../core/errors.ts';
import type { FlowRecord } from '../flow/record.ts';
import { type FlowFilter, limitOf, whereOf } from './filter.ts';
import { checkSchemaVersion } from './schema.ts';

export interface FlowPage {
  /** Oldest first. */
  readonly records: FlowRecord[];
  /** To go on from: `afterRowid` of the next query. */
  readonly lastRowid: number;
}

/** Throws what SQLite throws, and SluiceError `CONFIG` for a filter that cannot be read. */
export function readPage(db: DatabaseSync, filter: FlowFilter): FlowPage {
  const { sql, parameters } = whereOf(filter);
  const forward = filter.afterRowid != null;
  const rows = db
    .prepare(
      `SELECT seq, record FROM flow WHERE ${sql} ORDER BY seq ${forward ? 'ASC' : 'DESC'} LIMIT ${limitOf(filter)}`,
    )
    .all(parameters);
  if (!forward) rows.reverse();
  const last = rows.at(-1)?.['seq'] ?? filter.afterRowid ?? newestRowid(db);
  return { records: rows.map((row) => JSON.parse(String(row['record']))), lastRowid: Number(last) };
}

function newestRowid(db: DatabaseSync): number {
  return Number(db.prepare('SELECT max(seq) AS seq FROM flow').get()?.['seq'] ?? 0);
}

export class FlowReader {
  readonly #db: DatabaseSync;

  private constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** Throws SluiceError `STORE` if there is no store or it cannot be read. */
  static open(path: string): FlowReader {
    if (!existsSync(path)) {
      throw new SluiceError('STORE', `there is no flow store at ${path}`, {
        hint: 'it is made when the daemon first starts: sluice daemon --policy FILE',
      });
    }
    try {
      const db = new DatabaseSync(path, { readOnly: true });
      checkSchemaVersion(db, path);
      return new FlowReader(db);
    } catch (error) {
      if (error instanceof SluiceError) throw error;
      throw new SluiceError('STORE', `cannot read ${path}: ${messageOf(error)}`, { cause: error });
    }
  }

  page(filter: FlowFilter): FlowPage {
    return readPage(this.#db, filter);
  }

  query(filter: FlowFilter): FlowRecord[] {
    return this.page(filter).records;
  }

  close(): void {
    this.#db.close();
  }
}
