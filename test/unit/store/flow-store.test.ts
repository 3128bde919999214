import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import t from 'tap';
import type { Disposition, Reason } from '#src/flow/record.ts';
import { FlowStore } from '#src/store/flow-store.ts';
import { SCHEMA_VERSION } from '#src/store/schema.ts';
import { flowId } from '#test/unit/flowlog/made.ts';
import { append, ids, KEEP_ALL, record, records } from '#test/unit/store/made.ts';

/** A clock the test moves on. */
function fakeClock() {
  let nowMs = Date.UTC(2026, 5, 1);
  return { clock: { now: () => nowMs, monotonic: () => nowMs }, pass: (ms: number) => (nowMs += ms) };
}

const fileOf = (t: Tap) => join(t.testdir(), 'state', 'flows.db');
type Tap = { testdir: () => string };

t.test('keeps records whole, in order, over a restart', async (t) => {
  const path = fileOf(t);
  const some = records(3);
  const store = FlowStore.open(path, KEEP_ALL);
  append(store, some);
  t.strictSame(store.query({}), some, 'at once, without waiting for the batch');
  store.close();
  const again = FlowStore.open(path, KEEP_ALL);
  t.strictSame(again.query({}), some);
  t.match(again.health(), { state: 'ok', rows: 3, error: null, since: null, backlog: 0, dropped: 0, path });
  t.ok(again.health().bytes > 0);
  again.close();
});

t.test('is private', async (t) => {
  const path = fileOf(t);
  const before = process.umask(0);
  t.teardown(() => process.umask(before));
  const store = FlowStore.open(path, KEEP_ALL);
  append(store, records(1));
  store.flush();
  for (const suffix of ['', '-wal', '-shm'])
    t.equal(statSync(`${path}${suffix}`).mode & 0o777, 0o600, suffix);
  t.equal(statSync(join(path, '..')).mode & 0o777, 0o700);
  store.close();
});

t.test('a record is stored once, whoever hands it in again', async (t) => {
  const path = fileOf(t);
  const store = FlowStore.open(path, KEEP_ALL);
  append(store, [record(1), record(1, { reason: 'lost' })]);
  store.flush();
  append(store, [record(1, { reason: 'lost' }), record(2)]);
  t.strictSame(
    store.query({}).map(({ id, reason }) => [id, reason]),
    [
      [flowId(1), 'ok'],
      [flowId(2), 'ok'],
    ],
  );
  t.equal(store.health().rows, 2);
  store.close();
});

t.test('knows ids that are stored and ids that wait', async (t) => {
  const store = FlowStore.open(fileOf(t), KEEP_ALL);
  append(store, records(1));
  t.ok(store.has(flowId(1)), 'waiting');
  store.flush();
  t.ok(store.has(flowId(1)), 'stored');
  t.notOk(store.has(flowId(2)));
  store.close();
});

t.test('tells of a record once it is stored', async (t) => {
  const told: string[] = [];
  const onSettled = (id: string, json: string): void => void told.push(`${id} ${JSON.parse(json).id}`);
  const path = fileOf(t);
  const store = FlowStore.open(path, KEEP_ALL, { onSettled });
  append(store, records(2));
  t.ok(store.isUnsettled(flowId(1)));
  t.strictSame(told, []);
  store.flush();
  t.strictSame(
    told,
    [1, 2].map((n) => `${flowId(n)} ${flowId(n)}`),
  );
  t.notOk(store.isUnsettled(flowId(1)));
  append(store, records(1, 3));
  store.close();
  t.equal(told.length, 3, 'what the end wrote, too');
  append(store, records(1, 4));
  t.equal(told.length, 4, 'and what was not taken any more');
});

t.test('tells of a record once, when it cannot say whether it will be stored', async (t) => {
  const told: string[] = [];
  const { clock, pass } = fakeClock();
  const path = fileOf(t);
  const store = FlowStore.open(path, KEEP_ALL, { clock, onSettled: (id) => told.push(id) });
  const other = new DatabaseSync(path);
  other.exec('BEGIN IMMEDIATE');
  append(store, records(2));
  t.strictSame(told, []);
  store.flush();
  t.strictSame(told, [flowId(1), flowId(2)], 'nobody waits for a store that is locked');
  append(store, records(1, 3));
  t.equal(told.length, 3);
  t.notOk(store.isUnsettled(flowId(3)));
  other.exec('COMMIT');
  other.close();
  pass(500);
  store.flush();
  t.equal(store.health().rows, 3);
  t.equal(told.length, 3, 'and nobody is told again');
  store.close();
});

t.test('writes by itself, soon', async (t) => {
  const path = fileOf(t);
  const store = FlowStore.open(path, KEEP_ALL);
  for (let round = 1; round <= 2; round++) {
    append(store, [record(round)]);
    t.equal(store.health().backlog, 1);
    // The store's timer does not keep a process alive; this does.
    while (store.health().backlog > 0) await new Promise((resolve) => setTimeout(resolve, 10));
    t.equal(store.health().rows, round);
  }
  store.close();
});

t.test('a full batch does not wait', async (t) => {
  const store = FlowStore.open(fileOf(t), KEEP_ALL);
  append(store, records(1_200));
  t.match(store.health(), { backlog: 176, rows: 1_024 });
  store.close();
});

t.test('finds by every filter', async (t) => {
  const store = FlowStore.open(fileOf(t), KEEP_ALL);
  const base = record(1).dst;
  append(store, [
    record(1),
    record(2, { agent: 'shop', disposition: 'denied', verdict: 'deny', reason: 'no_rule' }),
    record(3, { dst: { ...base, ip: '2001:db8::7', port: 5432, host: null, name: 'Database' } }),
    record(4, { dst: { ...base, host: 'api.example.org', port: 443 } }),
  ]);
  const at = (number: number) => Date.parse(record(number).time);
  const cases: readonly [Parameters<FlowStore['query']>[0], number[]][] = [
    [{}, [1, 2, 3, 4]],
    [{ limit: 2 }, [3, 4]],
    [{ sinceMs: at(2) }, [2, 3, 4]],
    [{ untilMs: at(2) }, [1]],
    [{ sinceMs: at(2), untilMs: at(4) }, [2, 3]],
    [{ agent: 'shop' }, [2]],
    [{ agent: 'SHOP' }, []],
    [{ destination: '203.0.113.7' }, [1, 2, 4]],
    [{ destination: '::ffff:203.0.113.7' }, [1, 2, 4]],
    [{ destination: '2001:DB8:0::7' }, [3]],
    [{ destination: '[2001:db8::7]:5432' }, [3]],
    [{ destination: '[2001:db8::7]:5433' }, []],
    [{ destination: 'API.example.org.' }, [4]],
    [{ destination: 'api.example.org:443' }, [4]],
    [{ destination: 'database' }, [3]],
    [{ destination: ':80' }, [1, 2]],
    [{ disposition: 'denied' }, [2]],
    [{ verdict: 'deny' }, [2]],
    [{ reason: 'no_rule' }, [2]],
    [{ reason: 'ok', agent: 'billing', verdict: 'allow', limit: 1 }, [4]],
    [{ agent: null, destination: null, sinceMs: null, limit: null }, [1, 2, 3, 4]],
    [{ agent: "x' OR 1=1 --" }, []],
    [{ destination: "x' OR 1=1 --" }, []],
  ];
  for (const [filter, expected] of cases) {
    t.strictSame(ids(store.query(filter)), expected.map(flowId), JSON.stringify(filter));
  }
  for (const destination of ['', ':', ':70000', '[::1', 'a:b']) {
    t.throws(() => store.query({ destination }), { code: 'CONFIG' }, destination);
  }
  store.close();
});

t.test('can be followed without missing or repeating a record', async (t) => {
  const store = FlowStore.open(fileOf(t), { ...KEEP_ALL, maxRows: 3 });
  let { lastRowid } = store.page({});
  t.equal(lastRowid, 0);
  const seen: string[] = [];
  for (let number = 1; number <= 8; number++) {
    append(store, [record(number)]);
    const page = store.page({ afterRowid: lastRowid });
    seen.push(...ids(page.records));
    lastRowid = page.lastRowid;
  }
  t.strictSame(seen, ids(records(8)), 'also while the oldest are pruned');
  t.strictSame(store.page({ afterRowid: lastRowid }), { records: [], lastRowid });
  t.strictSame(
    ids(store.page({ afterRowid: 5, limit: 2 }).records),
    [flowId(6), flowId(7)],
    'the first so many',
  );
  store.close();
});

t.test('keeps within rows, oldest first', async (t) => {
  const store = FlowStore.open(fileOf(t), { ...KEEP_ALL, maxRows: 100 });
  for (let first = 1; first <= 3_000; first += 600) append(store, records(600, first));
  t.equal(store.health().rows, 100);
  t.strictSame(ids(store.query({ limit: 10_000 })), ids(records(100, 2_901)));
  store.close();
});

t.test('keeps within age, also when nothing comes any more', async (t) => {
  const { clock, pass } = fakeClock();
  const store = FlowStore.open(fileOf(t), { ...KEEP_ALL, maxAgeMs: 3_600_000 }, { clock });
  append(store, [record(1), record(2)]);
  store.flush();
  pass(3_000_000);
  append(store, [record(3)]);
  store.flush();
  t.equal(store.health().rows, 3);
  pass(1_000_000);
  store.flush();
  t.strictSame(ids(store.query({})), [flowId(3)]);
  store.close();
});

t.test('keeps the file within bytes, and gives back what it no longer needs', async (t) => {
  const path = fileOf(t);
  const maxBytes = 2 * 1024 * 1024;
  let store = FlowStore.open(path, { ...KEEP_ALL, maxBytes });
  let largest = 0;
  for (let first = 1; first <= 8_192; first += 512) {
    append(store, records(512, first));
    largest = Math.max(largest, store.health().bytes);
  }
  t.ok(largest < maxBytes + 2 * 1024 * 1024, `${largest} bytes at most`);
  t.ok(store.health().rows > 300, `${store.health().rows} rows`);
  t.equal(store.query({ limit: 1 })[0]?.id, flowId(8_192), 'the newest are there');
  store.close();

  const { clock, pass } = fakeClock();
  store = FlowStore.open(path, { ...KEEP_ALL, maxBytes: 512 * 1024 }, { clock });
  for (let step = 0; step < 12; step++) {
    store.flush();
    pass(60_000);
  }
  t.ok(store.health().bytes <= 512 * 1024, `${store.health().bytes} bytes`);
  store.close();
});

t.test('refuses a file of a newer version, and leaves it alone', async (t) => {
  const path = fileOf(t);
  FlowStore.open(path, KEEP_ALL).close();
  const db = new DatabaseSync(path);
  db.exec(`PRAGMA user_version = ${SCHEMA_VERSION + 1}`);
  db.close();
  t.throws(() => FlowStore.open(path, KEEP_ALL), { code: 'STORE', message: /newer/ });
});

t.test('refuses a place where others could replace it', async (t) => {
  const dir = t.testdir({ open: {}, target: 'precious' });
  chmodSync(join(dir, 'open'), 0o777);
  t.throws(() => FlowStore.open(join(dir, 'open', 'flows.db'), KEEP_ALL), { code: 'PERMISSION' });
  symlinkSync(join(dir, 'target'), join(dir, 'flows.db'));
  t.throws(() => FlowStore.open(join(dir, 'flows.db'), KEEP_ALL), { code: 'PERMISSION' });
});

t.test('no room: degraded, and all is written once there is room again', async (t) => {
  const path = fileOf(t);
  const { clock, pass } = fakeClock();
  let store = FlowStore.open(path, KEEP_ALL, { clock, hardMaxBytes: 256 * 1024 });
  const some = records(1_000);
  t.doesNotThrow(() => append(store, some));
  const health = store.health();
  t.match(health, {
    state: 'degraded',
    error: /disk is full/,
    since: '2026-06-01T00:00:00.000Z',
    dropped: 0,
  });
  t.equal(health.rows + health.backlog, 1_000);
  t.equal(store.query({ limit: 10_000 }).length, health.rows, 'what is stored can still be read');
  t.ok(store.has(flowId(1_000)));

  store.flush();
  t.equal(store.health().errors, 1, 'not tried again before its time');
  for (let attempt = 2; attempt <= 12; attempt++) {
    pass(30_000);
    store.flush();
    t.equal(store.health().errors, attempt);
  }
  t.equal(store.health().since, '2026-06-01T00:00:00.000Z');
  store.close();
  t.equal(store.health().dropped, health.backlog, 'given up, and said so');

  store = FlowStore.open(path, KEEP_ALL);
  append(store, some);
  t.strictSame(ids(store.query({ limit: 10_000 })).sort(), ids(some), 'each once');
  store.close();
});

t.test('the backlog is bounded and what does not fit is counted', async (t) => {
  const { clock } = fakeClock();
  const store = FlowStore.open(fileOf(t), KEEP_ALL, {
    clock,
    hardMaxBytes: 64 * 1024,
    maxBacklogBytes: 100_000,
  });
  for (let first = 1; first <= 5_000; first += 500) append(store, records(500, first));
  const { backlog, dropped, rows } = store.health();
  t.ok(backlog > 30 && backlog < 100, `${backlog} wait`);
  t.equal(rows + backlog + dropped, 5_000);
  store.close();
  append(store, records(1, 9_000));
  t.equal(store.health().dropped, dropped + backlog + 1, 'after the end nothing is taken any more');
  t.throws(() => store.query({}), { code: 'STORE' });
});

t.test('a store that cannot be opened is degraded, and heals', async (t) => {
  const dir = t.testdir({ state: 'a file where the directory should be' });
  const path = join(dir, 'state', 'flows.db');
  const { clock, pass } = fakeClock();
  const store = FlowStore.open(path, KEEP_ALL, { clock });
  t.equal(store.health().state, 'degraded');
  append(store, records(3));
  t.throws(() => store.query({}), { code: 'STORE' });
  t.notOk(store.has(flowId(9)));
  rmSync(join(dir, 'state'));
  pass(1_000);
  store.flush();
  t.match(store.health(), { state: 'ok', error: null, rows: 3, backlog: 0, dropped: 0 });
  store.close();
});

t.test('a damaged file is reported, not replaced', async (t) => {
  const path = fileOf(t);
  mkdirSync(join(path, '..'), { mode: 0o700 });
  writeFileSync(path, 'this is no database, it only has the name of one. '.repeat(100));
  const store = FlowStore.open(path, KEEP_ALL);
  t.match(store.health(), { state: 'degraded', error: /not a database/ });
  append(store, records(1));
  store.close();
  t.equal(store.health().dropped, 1);
  t.ok(statSync(path).size > 4_000, 'still there');
});

t.test('somebody else holds it locked: later', async (t) => {
  const path = fileOf(t);
  const { clock, pass } = fakeClock();
  const store = FlowStore.open(path, KEEP_ALL, { clock });
  const other = new DatabaseSync(path);
  other.exec('BEGIN IMMEDIATE');
  append(store, records(600));
  t.match(store.health(), { state: 'degraded', error: /locked/, backlog: 600 });
  other.exec('COMMIT');
  other.close();
  pass(500);
  store.flush();
  t.match(store.health(), { state: 'ok', rows: 600, backlog: 0 });
  store.close();
});

t.test('a disk that is really full', async (t) => {
  if (process.getuid?.() !== 0) {
    t.comment('needs root to mount a small tmpfs');
    return t.pass();
  }
  const dir = t.testdir({ disk: {} });
  const disk = join(dir, 'disk');
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=0700', 'tmpfs', disk]);
  const { clock, pass } = fakeClock();
  let store: FlowStore | null = null;
  try {
    writeFileSync(join(disk, 'ballast'), Buffer.alloc(512 * 1024));
    store = FlowStore.open(join(disk, 'flows.db'), KEEP_ALL, { clock });
    for (let first = 1; first <= 1_000; first += 50) {
      append(store, records(50, first));
      store.flush();
    }
    const full = store.health();
    t.match(full, { state: 'degraded', dropped: 0 });
    t.match(full.error, /full|I\/O/);
    t.ok(full.backlog > 0);
    t.ok(store.has(flowId(1_000)));
    rmSync(join(disk, 'ballast'));
    execFileSync('mount', ['-o', 'remount,size=64m', disk]);
    pass(60_000);
    store.flush();
    t.match(store.health(), { state: 'ok', error: null, rows: 1_000, backlog: 0, dropped: 0 });
    t.strictSame(ids(store.query({ limit: 10_000 })), ids(records(1_000)), 'each once, in order');
  } finally {
    store?.close();
    execFileSync('umount', [disk]);
  }
});

t.test('full from the start: the daemon starts all the same', async (t) => {
  if (process.getuid?.() !== 0) {
    t.comment('needs root to mount a small tmpfs');
    return t.pass();
  }
  const dir = t.testdir({ disk: {} });
  const disk = join(dir, 'disk');
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=0700', 'tmpfs', disk]);
  const { clock, pass } = fakeClock();
  let store: FlowStore | null = null;
  try {
    writeFileSync(join(disk, 'ballast'), Buffer.alloc(64 * 1024 - 4_096));
    store = FlowStore.open(join(disk, 'flows.db'), KEEP_ALL, { clock });
    t.equal(store.health().state, 'degraded', store.health().error ?? '');
    append(store, records(5));
    execFileSync('mount', ['-o', 'remount,size=64m', disk]);
    pass(60_000);
    t.equal(store.query({}).length, 5);
    t.equal(store.health().state, 'ok');
  } finally {
    store?.close();
    execFileSync('umount', [disk]);
  }
});

t.test('killed while it writes: what was committed is there, and the file is sound', async (t) => {
  const path = fileOf(t);
  const script = `
    import { FlowStore } from '#src/store/flow-store.ts';
    import { append, KEEP_ALL, records } from '#test/unit/store/made.ts';
    const store = FlowStore.open(process.argv[1], KEEP_ALL);
    for (let first = 1; ; first += 512) {
      append(store, records(512, first));
      if (first > 3_000) process.kill(process.pid, 'SIGKILL');
    }`;
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', script, path]);
  t.equal(child.signal, 'SIGKILL', child.stderr.toString());
  const store = FlowStore.open(path, KEEP_ALL);
  const { rows } = store.health();
  t.ok(rows >= 3_072 && rows % 512 === 0, `${rows} rows`);
  t.strictSame(ids(store.query({ limit: 10_000 })), ids(records(rows)));
  store.close();
  const db = new DatabaseSync(path, { readOnly: true });
  t.strictSame(db.prepare('PRAGMA integrity_check').get()?.['integrity_check'], 'ok');
  db.close();
});

t.test('types of filters are those of the records', async (t) => {
  const store = FlowStore.open(fileOf(t), KEEP_ALL);
  const disposition: Disposition = 'unknown';
  const reason: Reason = 'worker_died';
  append(store, [record(1, { disposition, reason })]);
  t.equal(store.query({ disposition, reason }).length, 1);
  store.close();
});
