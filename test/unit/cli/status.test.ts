import t from 'tap';
import { FakeBackend, sampleStatus } from '../api/sample.ts';
import { script, setStage } from './script.ts';

t.test('enforcing', (t) =>
  script(
    t,
    new FakeBackend(),
    `
$ sluice status
| sluice     enforcing, version 0.1.0, pid 100, since 2026-01-31 11:00:00
| tier       base; the kernel does not load programs for the BPF LSM
| policy     0123456789ab from /etc/sluice/policy.yaml, loaded 2026-01-31 11:00:00
| self-test  ok at 2026-01-31 11:00:01: canary refused as it should be
| flows      1 open, 5 allowed, 1 denied, 0 failed, 0 without report
| holds      2 waiting, the oldest since 41 s, 5 approved, 1 timed_out
| events     flow: 14 received, 0 lost; deny: 1 received, 0 lost
| store      ok, 6 rows, 16 KiB, 0 dropped, /var/lib/sluice/flows.db
| counted    kernel.refused.udp_denied 3
|
| PROGRAM          ATTACHED TO           EFFECTIVE  PINNED
| sluice_connect4  cgroup_inet4_connect  yes        yes
|
| LISTENER   PORTS  NAMESPACE
| 127.0.0.1  15001  host
|
| WORKER  PID  OPEN  ACCEPTED  REFUSED  RESTARTS
|      0  101     1         7        0         0
|
| AGENT    REFUSED TECHNIQUE  TIMES
| billing  sendto                 3
`,
  ),
);

t.test('degraded: says why and exits with 1', (t) => {
  const backend = new FakeBackend();
  backend.statusAnswer = sampleStatus({
    reasons: ['worker 1 is being started\u001b[31m again'],
    policy: { ...sampleStatus().policy, lastError: 'policy.yaml:3:1: no such agent' },
    selfTest: null,
    store: { ...sampleStatus().store, ok: false, error: 'disk full', dropped: 3 },
  });
  return script(
    t,
    backend,
    `
$ sluice status
| sluice     degraded, version 0.1.0, pid 100, since 2026-01-31 11:00:00
| tier       base; the kernel does not load programs for the BPF LSM
| policy     0123456789ab from /etc/sluice/policy.yaml, loaded 2026-01-31 11:00:00
| self-test  not run yet
| flows      1 open, 5 allowed, 1 denied, 0 failed, 0 without report
| holds      2 waiting, the oldest since 41 s, 5 approved, 1 timed_out
| events     flow: 14 received, 0 lost; deny: 1 received, 0 lost
| store      FAILED: disk full, 6 rows, 16 KiB, 3 dropped, /var/lib/sluice/flows.db
| counted    kernel.refused.udp_denied 3
|   ! worker 1 is being started\\x1b[31m again
|   ! flow records are not stored: disk full
|   ! the last policy was refused: policy.yaml:3:1: no such agent
|...
= 1
`,
  );
});

t.test('not enforcing', (t) => {
  const backend = new FakeBackend();
  backend.statusAnswer = sampleStatus({ enforcing: false, reasons: ['sluice_connect4 is not effective'] });
  return script(t, backend, '\n$ sluice status\n|~ ^sluice     NOT ENFORCING,\n|...\n= 1\n');
});

t.test('json is the status whole', async (t) => {
  const backend = new FakeBackend();
  const stage = await setStage(t, backend);
  const done = await stage.sh('sluice status --output json');
  t.same(JSON.parse(done.stdout), { running: true, ...backend.statusAnswer });
  t.equal(done.code, 0);
});

t.test('no daemon: 3, as the LSB has it', (t) =>
  script(
    t,
    null,
    `
$ sluice status
| Nothing is pinned: no process is governed.
! sluice: the daemon is not running (nobody answers at DIR/run/api.sock)
!   hint: start it: sluice daemon --policy FILE, or: systemctl start sluice
= 3
$ sluice status --output json
| {"running":false,"programs":[]}
= 3
`,
  ),
);
