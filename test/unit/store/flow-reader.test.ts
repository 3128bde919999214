import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import t from 'tap';
import { FlowReader } from '#src/store/flow-reader.ts';
import { FlowStore } from '#src/store/flow-store.ts';
import { SCHEMA_VERSION } from '#src/store/schema.ts';
import { flowId } from '#test/unit/flowlog/made.ts';
import { append, ids, KEEP_ALL, records } from '#test/unit/store/made.ts';

t.test('reads while the daemon is down, and while it is not', async (t) => {
  const path = join(t.testdir(), 'state', 'flows.db');
  const store = FlowStore.open(path, KEEP_ALL);
  append(store, records(3));
  store.flush();
  const beside = FlowReader.open(path);
  t.equal(beside.query({}).length, 3);
  append(store, records(1, 4));
  store.flush();
  t.equal(beside.query({}).length, 4);
  beside.close();
  store.close();
  t.notOk(existsSync(`${path}-wal`), 'put away');
  const alone = FlowReader.open(path);
  t.strictSame(ids(alone.query({ limit: 2 })), [flowId(3), flowId(4)]);
  t.equal(alone.page({}).lastRowid, 4);
  alone.close();
});

t.test('reads what a killed daemon left in its write-ahead log', async (t) => {
  const dir = t.testdir();
  const path = join(dir, 'state', 'flows.db');
  const store = FlowStore.open(path, KEEP_ALL);
  append(store, records(3));
  store.flush();
  const { cpSync } = await import('node:fs');
  cpSync(join(dir, 'state'), join(dir, 'left'), { recursive: true });
  store.close();
  const reader = FlowReader.open(join(dir, 'left', 'flows.db'));
  t.equal(reader.query({}).length, 3);
  reader.close();
});

t.test('says what is wrong', async (t) => {
  const dir = t.testdir();
  t.throws(() => FlowReader.open(join(dir, 'none.db')), { code: 'STORE', hint: /daemon/ });
  writeFileSync(join(dir, 'junk.db'), 'this is no database '.repeat(100));
  t.throws(() => FlowReader.open(join(dir, 'junk.db')), { code: 'STORE' });
  const path = join(dir, 'newer.db');
  const db = new DatabaseSync(path);
  db.exec(`PRAGMA user_version = ${SCHEMA_VERSION + 1}`);
  db.close();
  t.throws(() => FlowReader.open(path), { code: 'STORE', message: /newer/ });
});
