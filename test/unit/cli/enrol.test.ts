import t from 'tap';
import { FakeBackend } from '../api/sample.ts';
import { script } from './script.ts';

t.test('what was found, and what became of it', async (t) => {
  const backend = new FakeBackend();
  const socket = { pid: 7, fd: 3, kind: 'tcp', local: '192.0.2.1:40000', remote: '192.0.2.7:80' };
  backend.enrolAnswer = {
    agent: 'billing',
    processes: [
      { pid: 7, exe: '/usr/bin/billing', was: false },
      { pid: 8, exe: null, was: true },
    ],
    others: [{ pid: 9, agent: 'audit' }],
    sockets: [
      { ...socket, state: 'connected', outcome: 'destroyed' },
      { pid: 7, fd: 4, kind: 'unix', state: 'unconnected', local: null, remote: null, outcome: 'ungoverned' },
    ],
    socketsTotal: 5,
  };
  await script(
    t,
    backend,
    `
$ sluice enrol billing.service --as billing --now
| 1 process became billing, 1 was it before
|   process 9 stays audit
|
| PID  FD  SOCKET  STATE        LOCAL            REMOTE        NOW
|   7   3  tcp     connected    192.0.2.1:40000  192.0.2.7:80  destroyed
|   7   4  unix    unconnected  -                -             ungoverned
| 3 more
$ sluice enrol 7 --as billing --output json
|~ ^{"agent":"billing",.*"socketsTotal":5}$
`,
  );
  t.same(backend.enrolled, [
    { target: 'billing.service', agent: 'billing', now: true },
    { target: '7', agent: 'billing', now: false },
  ]);
});

t.test('what is still connected past Sluice is a failure', (t) => {
  const backend = new FakeBackend();
  const left = { pid: 7, fd: 3, kind: 'tcp', local: '[::1]:1', remote: '[::1]:2' };
  backend.enrolAnswer = {
    agent: 'billing',
    processes: [],
    others: [],
    sockets: [{ ...left, state: 'connected', outcome: 'left' }],
    socketsTotal: 1,
  };
  return script(
    t,
    backend,
    '$ sluice enrol 7 --as billing --now\n|...\n= 1\n$ sluice enrol 7 --as billing\n|...\n',
  );
});

t.test('refusals', (t) =>
  script(
    t,
    new FakeBackend(),
    `
$ sluice enrol 99 --as billing
! sluice: no process 99 runs
!   hint: give a pid of this host
= 2
$ sluice enrol 99
!~ --as <name>
!...
= 2
`,
  ),
);
