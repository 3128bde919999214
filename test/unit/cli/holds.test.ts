import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import t from 'tap';
import { FakeBackend } from '../api/sample.ts';
import { script, setStage } from './script.ts';

t.setTimeout(240_000);

function waiting(): FakeBackend {
  const backend = new FakeBackend();
  backend.holdList = [
    {
      id: '3f0c91d2ab',
      agent: 'billing',
      flow: '0123456789abcdef',
      rules: ['people-delete'],
      verbs: ['DELETE'],
      objects: ['app.users'],
      texts: [
        { text: 'DELETE FROM app.users\nWHERE id = $1', bytes: 35 },
        { text: null, bytes: 9000 },
      ],
      values: ['42', "'\u001b[2J'"],
      more: 2,
      since: '2026-01-31T12:00:00.000Z',
      until: '2026-01-31T12:05:00.000Z',
    },
  ];
  return backend;
}

t.test('what waits is shown', async (t) => {
  await script(
    t,
    waiting(),
    `
$ sluice holds
| ID          AGENT    RULE           VERB    OBJECTS                SINCE                UNTIL
| 3f0c91d2ab  billing  people-delete  DELETE  app.users, and 2 more  2026-01-31 12:00:00  2026-01-31 12:05:00
|     DELETE FROM app.users
|     WHERE id = $1
|     which executes: (9000 bytes, not shown: something is to be masked that cannot be)
|     $1 = 42
|     $2 = '\\x1b[2J'
$ sluice holds --output json
|~ "id":"3f0c91d2ab"
`,
  );
  await script(t, new FakeBackend(), '\n$ sluice holds\n| nothing waits\n');
});

t.test('it is approved, and denied with a reason', async (t) => {
  const backend = waiting();
  await script(
    t,
    backend,
    `
$ sluice holds approve 3f0c91d2ab --reason fine
| approved: DELETE app.users by billing
$ sluice holds deny 3f0c91d2ab --reason later
| denied: DELETE app.users by billing
$ sluice holds deny 3f0c91d2ab
| denied: DELETE app.users by billing
$ sluice holds approve 0000000000
! sluice: nothing waits under that id
= 1
$ sluice holds approve
!...
= 2
`,
  );
  t.strictSame(backend.answeredHolds, [
    { id: '3f0c91d2ab', approved: true, reason: 'fine' },
    { id: '3f0c91d2ab', approved: false, reason: 'later' },
    { id: '3f0c91d2ab', approved: false },
    { id: '0000000000', approved: true },
  ]);
});

t.test('what begins to wait is shown as it does', async (t) => {
  const backend = waiting();
  const [first] = backend.holdList;
  if (first === undefined) throw new Error('nothing waits');
  const stage = await setStage(t, backend);
  const child = spawn('sluice', ['holds', '--follow'], {
    env: stage.env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  t.match((await lines.next()).value, /^ID +AGENT/);
  t.match((await lines.next()).value, /^3f0c91d2ab {2}billing/);
  for (let n = 0; n < 5; n += 1) await lines.next();
  backend.emitHold({ ...first, id: '0000000001' });
  t.match((await lines.next()).value, /^0000000001 {2}billing/);
  child.kill();
  await once(child, 'exit');
});

t.test('without a daemon', (t) =>
  script(t, null, '$ sluice holds\n!~ daemon is not running\n!...\n= 3\n$ sluice holds deny x\n!...\n= 3\n'),
);
