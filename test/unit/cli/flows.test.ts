import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { text as readAll } from 'node:stream/consumers';
import t from 'tap';
import { FakeBackend, sampleRecord } from '../api/sample.ts';
import { script, setStage } from './script.ts';

function backendWith(...numbers: number[]): FakeBackend {
  const backend = new FakeBackend();
  backend.records = numbers.map((number) => sampleRecord(number));
  return backend;
}

t.test('a table for people', (t) => {
  const backend = backendWith(1);
  backend.records.push(
    sampleRecord(2, {
      agent: null,
      verdict: 'deny',
      disposition: 'denied',
      reason: 'no_rule',
      protocol: 'unknown',
      src: { ...sampleRecord(2).src, pid: null },
      dst: { ...sampleRecord(2).dst, ip: '2001:db8::1', host: null, name: null, port: 80 },
    }),
    sampleRecord(3, { verdict: 'error', reason: 'tls_name_mismatch' }),
    sampleRecord(4, {
      operations: { total: 6, denied: 2, held: 1, approved: 0, observed: 0, holds: [] },
      masks: { masked: 1, observed: 0, denied: 1 },
    }),
  );
  return script(
    t,
    backend,
    `
$ sluice flows
| STARTED              AGENT     PID  DESTINATION          PROTOCOL  RESULT    REASON                SENT  RECEIVED   TOOK
| 2026-01-31 12:00:01  billing  4242  db.example.org:5432  postgres  upgraded  ok                 1.5 KiB    20 KiB  42 ms
| 2026-01-31 12:00:02  -           -  [2001:db8::1]:80     unknown   denied    no_rule            1.5 KiB    20 KiB  42 ms
| 2026-01-31 12:00:03  billing  4242  db.example.org:5432  postgres  error     tls_name_mismatch  1.5 KiB    20 KiB  42 ms
| 2026-01-31 12:00:04  billing  4242  db.example.org:5432  postgres  upgraded  ok, 3 denied       1.5 KiB    20 KiB  42 ms
`,
  );
});

t.test('filters reach the daemon, and json is one record a line', async (t) => {
  const backend = backendWith(1, 2, 3);
  const stage = await setStage(t, backend);
  const done = await stage.sh(
    'sluice flows --since 2026-01-31T12:00:02Z --agent billing --dest db.example.org:5432 --disposition upgraded ' +
      '--verdict allow --limit 1 -o json',
  );
  t.same(
    done.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line)),
    [sampleRecord(3)],
    done.stderr,
  );
});

t.test('what an agent wrote cannot act on a terminal, nor forge a line', async (t) => {
  const backend = new FakeBackend();
  const host = 'a\u001b[2J\nFAKE \u202eb\u009b1m';
  backend.records = [sampleRecord(1, { dst: { ...sampleRecord(1).dst, host } })];
  const stage = await setStage(t, backend);
  const table = await stage.sh('sluice flows');
  t.match(table.stdout, 'a\\x1b[2J\\x0aFAKE \\u{202e}b\\x9b1m:5432');
  t.equal(table.stdout.split('\n').length, 3);
  const json = await stage.sh('sluice flows --output json');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they must not be there.
  t.notMatch(json.stdout, /[\u001b\u009b\u202e]/);
  t.equal(JSON.parse(json.stdout).dst.host, host, 'and the value is the same');
});

t.test('nothing found', (t) =>
  script(t, new FakeBackend(), '\n$ sluice flows\n! sluice: no flows\n$ sluice flows -o json\n'),
);

t.test('wrong use', (t) =>
  script(
    t,
    new FakeBackend(),
    `
$ sluice flows --since yesterday
! sluice: option '--since <time>' argument 'yesterday' is invalid. neither a span of time nor a time
!   hint: 90s, 10m, 2h, 1d or 1w ago, or in RFC 3339: 2026-01-31T12:00:00Z
!   hint: add --help, or see: sluice help
= 2
$ sluice flows --dest a:b
!~ ^sluice: option '--dest <destination>' argument 'a:b' is invalid\\.
!   hint: HOST, HOST:PORT, :PORT or [IPV6]:PORT
!   hint: add --help, or see: sluice help
= 2
$ sluice flows --limit 0
! sluice: option '--limit <n>' argument '0' is invalid. not a number from 1 to 10000
!   hint: add --help, or see: sluice help
= 2
$ sluice flows --verdict maybe
! sluice: option '--verdict <verdict>' argument 'maybe' is invalid. Allowed choices are allow, deny, error.
!   hint: add --help, or see: sluice help
= 2
$ sluice flows extra
!~ ^sluice: too many arguments for 'flows'
!   hint: add --help, or see: sluice help
= 2
`,
  ),
);

t.test('no daemon and no store', (t) =>
  script(
    t,
    null,
    `
$ sluice flows
! sluice: the daemon is not running (nobody answers at DIR/run/api.sock)
!   hint: start it: sluice daemon --policy FILE, or: systemctl start sluice
= 3
$ sluice flows --follow --output json
! sluice: the daemon is not running (nobody answers at DIR/run/api.sock)
!   hint: start it: sluice daemon --policy FILE, or: systemctl start sluice
= 3
`,
  ),
);

t.test('a reader that has enough ends it quietly', async (t) => {
  const backend = backendWith(...Array.from({ length: 2000 }, (_, n) => n));
  const stage = await setStage(t, backend);
  const done = await stage.sh('sluice flows --limit 2000 -o json | head -n 1');
  t.equal(done.stderr, '');
  t.equal(done.stdout.split('\n').length, 2);
});

t.test('follow prints flows as they end, and says when the daemon stops', async (t) => {
  const backend = backendWith(1);
  const stage = await setStage(t, backend);
  const child = spawn(
    'sluice',
    ['flows', '--follow', '--since', '2026-01-01T00:00:00Z', '--agent', 'billing'],
    {
      env: stage.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const stderr = readAll(child.stderr);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  t.match((await lines.next()).value, /^STARTED +AGENT/);
  t.match((await lines.next()).value, /^2026-01-31 12:00:01 {2}billing/);
  backend.emit(sampleRecord(2, { agent: 'other' }));
  backend.emit(sampleRecord(3));
  t.match((await lines.next()).value, /^2026-01-31 12:00:03 {2}billing/);
  child.kill('SIGINT');
  await once(child, 'close');
  t.equal(await stderr, '');
});
