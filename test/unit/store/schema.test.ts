import { DatabaseSync } from 'node:sqlite';
import t from 'tap';
import { checkSchemaVersion, migrate, SCHEMA_VERSION, schemaVersion } from '#src/store/schema.ts';

t.test('makes a new file, and nothing more of one that is up to date', async (t) => {
  const db = new DatabaseSync(':memory:');
  t.equal(schemaVersion(db), 0);
  migrate(db, 'x');
  t.equal(schemaVersion(db), SCHEMA_VERSION);
  const tables = () => db.prepare('SELECT name, sql FROM sqlite_master ORDER BY name').all();
  const before = tables();
  migrate(db, 'x');
  t.strictSame(tables(), before);
  db.close();
});

t.test('a migration that is interrupted leaves nothing behind', async (t) => {
  const db = new DatabaseSync(':memory:');
  db.exec('CREATE TABLE flow_agent (in_the_way)');
  t.throws(() => migrate(db, 'x'));
  if (db.isTransaction) db.exec('ROLLBACK');
  t.equal(schemaVersion(db), 0);
  t.equal(db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'flow'").get(), undefined);
  db.close();
});

t.test('refuses what a newer version made', async (t) => {
  const db = new DatabaseSync(':memory:');
  db.exec(`PRAGMA user_version = ${SCHEMA_VERSION + 1}`);
  t.throws(() => checkSchemaVersion(db, '/x/flows.db'), { code: 'STORE', message: /\/x\/flows\.db/ });
  t.throws(() => migrate(db, 'x'), { code: 'STORE' });
  db.close();
});

t.test('filters have an index to go by', async (t) => {
  const db = new DatabaseSync(':memory:');
  migrate(db, 'x');
  const plan = (where: string) =>
    JSON.stringify(db.prepare(`EXPLAIN QUERY PLAN SELECT record FROM flow WHERE ${where}`).all());
  for (const column of ['time_ms', 'agent', 'dst_ip', 'dst_host', 'dst_name']) {
    t.match(
      plan(`${column} = 'x'`),
      new RegExp(`USING INDEX flow_${column === 'time_ms' ? 'time' : column}`),
    );
  }
  t.match(plan("dst_ip = 'x' OR dst_host = 'x' OR dst_name = 'x'"), /MULTI-INDEX OR/);
  db.close();
});
