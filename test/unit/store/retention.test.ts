import { DatabaseSync } from 'node:sqlite';
import t from 'tap';
import { pruneStep, storeSize } from '#src/store/retention.ts';
import { migrate } from '#src/store/schema.ts';
import { KEEP_ALL } from '#test/unit/store/made.ts';

/** A store of `count` rows of about a kilobyte, one stored each millisecond. */
function filled(count: number): DatabaseSync {
  const db = new DatabaseSync(':memory:');
  db.exec('PRAGMA auto_vacuum = INCREMENTAL');
  migrate(db, 'x');
  const insert = db.prepare(
    `INSERT INTO flow (id, time_ms, stored_ms, disposition, verdict, reason, record)
     VALUES (?, ?, ?, 'upgraded', 'allow', 'ok', ?)`,
  );
  db.exec('BEGIN');
  for (let number = 1; number <= count; number++) insert.run(`id${number}`, 0, number, 'x'.repeat(1_000));
  db.exec('COMMIT');
  return db;
}

const oldest = (db: DatabaseSync) => db.prepare('SELECT min(seq) AS seq FROM flow').get()?.['seq'];

t.test('nothing to do', async (t) => {
  const db = filled(100);
  t.equal(pruneStep(db, 100, KEEP_ALL, 100), 0);
  t.equal(oldest(db), 1);
});

t.test('rows: exactly those too many, but no more than a step', async (t) => {
  const db = filled(3_000);
  t.equal(pruneStep(db, 3_000, { ...KEEP_ALL, maxRows: 2_990 }, 0), 10);
  t.equal(oldest(db), 11);
  t.equal(pruneStep(db, 2_990, { ...KEEP_ALL, maxRows: 1 }, 0), 1_024);
});

t.test('age: by when a record was written, not by when its flow began', async (t) => {
  const db = filled(100);
  t.equal(pruneStep(db, 100, { ...KEEP_ALL, maxAgeMs: 1_000 }, 1_050), 49);
  t.equal(oldest(db), 50);
});

t.test('bytes: until the used part fits, then the file shrinks as well', async (t) => {
  const db = filled(3_000);
  const maxBytes = 1024 * 1024;
  let rows = 3_000;
  for (let step = 0; step < 20; step++) rows -= pruneStep(db, rows, { ...KEEP_ALL, maxBytes }, 0);
  t.ok(rows > 600, `${rows} rows`);
  t.ok(storeSize(db).bytes <= maxBytes, `${storeSize(db).bytes} bytes`);
});
