import { DatabaseSync } from 'node:sqlite';
import t from 'tap';
import { describeStoreError, leavesConnectionUsable } from '#src/store/sqlite-error.ts';

/** What SQLite really throws. */
function thrownBy(sql: string): unknown {
  const db = new DatabaseSync(':memory:');
  try {
    db.exec('PRAGMA max_page_count = 2; CREATE TABLE a (b)');
    db.exec(sql);
    return null;
  } catch (error) {
    return error;
  } finally {
    db.close();
  }
}

t.test('no room', async (t) => {
  const error = thrownBy('CREATE TABLE c (d)');
  t.match(describeStoreError(error), /disk is full/);
  t.ok(leavesConnectionUsable(error));
});

t.test('locked, by extended codes too', async (t) => {
  for (const errcode of [5, 6, 261, 517]) {
    const error = Object.assign(new Error('database is locked'), { errcode });
    t.match(describeStoreError(error), /another process/);
    t.ok(leavesConnectionUsable(error));
  }
});

t.test('anything else is shown as it is, and the connection given up', async (t) => {
  const error = thrownBy('no sql at all');
  t.match(describeStoreError(error), /syntax error \(SQLite 1\)/);
  t.notOk(leavesConnectionUsable(error));
  t.equal(describeStoreError(new Error('EACCES')), 'EACCES');
  t.equal(describeStoreError('text'), 'text');
  t.notOk(leavesConnectionUsable(null));
});
