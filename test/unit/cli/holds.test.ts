import t from 'tap';
import { FakeBackend } from '../api/sample.ts';
import { script } from './script.ts';

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
$ sluice holds approve 3f0c91d2ab
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
    { id: '3f0c91d2ab', approved: true },
    { id: '3f0c91d2ab', approved: false, reason: 'later' },
    { id: '3f0c91d2ab', approved: false },
    { id: '0000000000', approved: true },
  ]);
});

t.test('without a daemon', (t) =>
  script(t, null, '$ sluice holds\n!~ daemon is not running\n!...\n= 3\n$ sluice holds deny x\n!...\n= 3\n'),
);
