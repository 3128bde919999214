import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { listAgents } from '#src/daemon/agents.ts';
import type { KernelProcess, OpenSocket } from '#src/kernel/processes.ts';

const tag = { agentId: 1, why: 'cgroup', sinceNs: 2n, inherited: false, wasRunning: true } as const;
const process = (pid: number, change: Partial<KernelProcess> = {}): KernelProcess => ({
  pid,
  parent: 1,
  startNs: 1n,
  uid: 0,
  cgroupId: 5n,
  tag,
  ...change,
});
const socket = (pid: number, cookie: bigint, change: Partial<OpenSocket> = {}): OpenSocket => ({
  pid,
  cookie,
  fd: 3,
  family: 2,
  type: 1,
  protocol: 6,
  state: 'connected',
  governed: true,
  local: null,
  remote: null,
  ...change,
});

function makeProcess(procRoot: string, pid: number, startNs: bigint): void {
  mkdirSync(join(procRoot, String(pid)));
  symlinkSync('/usr/bin/billing', join(procRoot, `${pid}/exe`));
  writeFileSync(join(procRoot, `${pid}/cgroup`), '0::/sluice/run/billing/0011\n');
  const before = Array.from({ length: 19 }, () => '0').join(' ');
  writeFileSync(join(procRoot, `${pid}/stat`), `${pid} (billing) ${before} ${startNs / 10_000_000n} 0\n`);
}

t.test('the table', async (t) => {
  const procRoot = t.testdir({});
  makeProcess(procRoot, 7, process(7).startNs);
  const sources = {
    procRoot,
    processes: () => [process(9, { tag: { ...tag, why: 'exe' } }), process(8, { tag: null }), process(7)],
    sockets: () => [
      socket(7, 1n),
      socket(7, 1n, { fd: 4 }),
      socket(7, 2n, { governed: false }),
      socket(7, 3n, { family: 1, governed: false }),
    ],
    agentName: (id: number) => (id === 1 ? 'billing' : null),
    rfc3339: (ns: bigint) => `at ${ns}`,
    openFlows: () => new Map([[7, 4]]),
  };
  const { agents, total } = await listAgents(sources, 10);
  t.equal(total, 2);
  t.match(agents[0], {
    pid: 7,
    agent: 'billing',
    reason: 'run',
    since: 'at 2',
    exe: '/usr/bin/billing',
    cgroup: '/sluice/run/billing/0011',
    sockets: { internet: 2, ungoverned: 1, other: 1 },
    flows: 4,
    wasRunning: true,
  });
  t.match(agents[1], { pid: 9, reason: 'exe', exe: null, cgroup: null, flows: 0 });
  t.equal((await listAgents(sources, 1)).agents.length, 1);
});

t.test('what /proc says of the next process with the number is not told', async (t) => {
  const procRoot = t.testdir({});
  makeProcess(procRoot, 7, process(7).startNs + 10_000_000n);
  const sources = {
    procRoot,
    processes: () => [process(7)],
    sockets: () => [],
    agentName: () => 'billing',
    rfc3339: (ns: bigint) => `at ${ns}`,
    openFlows: () => new Map(),
  };
  t.match((await listAgents(sources, 10)).agents, [{ pid: 7, agent: 'billing', exe: null, cgroup: null }]);
});
