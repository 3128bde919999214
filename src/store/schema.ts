/**
 * The tables of the flow store and how an older file is brought up to date. `user_version` counts the migrations
 * that were applied; a migration, once released, is never changed.
 */
import type { DatabaseSync } from 'node:sqlite';
import { SluiceError } from '../core/errors.ts';

/**
 * A record is kept whole as JSON; the columns beside it are what is filtered on. `seq` counts records in the order in
 * which they were written and is never used twice, so that a follower can go on from the last it saw.
 */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE flow (
     seq INTEGER PRIMARY KEY AUTOINCREMENT,
     id TEXT NOT NULL UNIQUE,
     time_ms INTEGER NOT NULL,
     stored_ms INTEGER NOT NULL,
     agent TEXT,
     dst_ip TEXT,
     dst_port INTEGER,
     dst_host TEXT COLLATE NOCASE,
     dst_name TEXT COLLATE NOCASE,
     disposition TEXT NOT NULL,
     verdict TEXT NOT NULL,
     reason TEXT NOT NULL,
     record TEXT NOT NULL
   ) STRICT;
   CREATE INDEX flow_time ON flow (time_ms);
   CREATE INDEX flow_agent ON flow (agent);
   CREATE INDEX flow_dst_ip ON flow (dst_ip);
   CREATE INDEX flow_dst_host ON flow (dst_host);
   CREATE INDEX flow_dst_name ON flow (dst_name);`,
];

export const SCHEMA_VERSION = MIGRATIONS.length;

export function schemaVersion(db: DatabaseSync): number {
  return Number(db.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0);
}

/** Throws SluiceError `STORE` if a newer Sluice made the file; there is no way back. */
export function checkSchemaVersion(db: DatabaseSync, path: string): number {
  const version = schemaVersion(db);
  if (version > SCHEMA_VERSION) {
    throw new SluiceError('STORE', `${path} was made by a newer Sluice (schema ${version})`, {
      hint: 'start that version, or move the file away: it holds the flow log and nothing else',
    });
  }
  return version;
}

/** Each step is a transaction of its own: what is interrupted begins there again. */
export function migrate(db: DatabaseSync, path: string): void {
  for (let version = checkSchemaVersion(db, path); version < SCHEMA_VERSION; version++) {
    db.exec(`BEGIN IMMEDIATE; ${MIGRATIONS[version] ?? ''} PRAGMA user_version = ${version + 1}; COMMIT;`);
  }
}
