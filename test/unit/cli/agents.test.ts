import t from 'tap';
import { FakeBackend, sampleAgent } from '../api/sample.ts';
import { script } from './script.ts';

t.test('who is an agent, and what was there before', (t) => {
  const backend = new FakeBackend();
  backend.agentList = [
    sampleAgent(),
    sampleAgent({
      pid: 4712,
      agent: null,
      reason: 'uid',
      wasRunning: true,
      inherited: true,
      sockets: { internet: 2, ungoverned: 1, other: 0 },
      exe: '/opt/a\u001b[31mb',
      flows: 0,
    }),
  ];
  return script(
    t,
    backend,
    `
$ sluice agents
|  PID  AGENT    BECAUSE                          SINCE                 UID  SOCKETS            FLOWS  PROGRAM
| 4711  billing  cgroup                           2026-01-31 12:00:00  1001  2                      1  /usr/bin/billing
| 4712  -        user id, inherited, was running  2026-01-31 12:00:00  1001  2 (1 from before)      0  /opt/a\\x1b[31mb
$ sluice agents --limit 1 --output json
|~ ^{"pid":4711,"agent":"billing","reason":"cgroup",.*"flows":1}$
! sluice: 1 more are not shown: --limit
$ sluice agents --limit 0
!~ not a number from 1 to 10000
!...
= 2
`,
  );
});

t.test('without a daemon', (t) => script(t, null, '$ sluice agents\n!~ daemon is not running\n!...\n= 3\n'));
