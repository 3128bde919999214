import t from 'tap';
import { FakeBackend } from '../api/sample.ts';
import { script } from './script.ts';

t.test('restart says what still carries flows', (t) =>
  script(
    t,
    new FakeBackend(),
    `
$ sluice workers restart
| every worker was replaced
| process 99 carries 2 flows to their end, until 2026-01-31 13:00:00
$ sluice workers
!...
= 2
`,
  ),
);

t.test('without a daemon', (t) =>
  script(t, null, '$ sluice workers restart\n!~ daemon is not running\n!...\n= 3\n'),
);
