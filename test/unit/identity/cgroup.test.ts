import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { CgroupPaths, parseCgroupPath } from '#src/identity/cgroup.ts';
import { FakeHost } from '#test/unit/identity/fake-proc.ts';

t.test('reads the v2 line of /proc/PID/cgroup', async (t) => {
  t.equal(parseCgroupPath('4:memory:/x\n0::/system.slice/a.service\n'), '/system.slice/a.service');
  t.equal(parseCgroupPath('0::/\n'), '/');
  t.equal(parseCgroupPath('0::/../../elsewhere\n'), null, 'outside our cgroup namespace');
  t.equal(parseCgroupPath('4:memory:/x\n'), null);
  t.equal(parseCgroupPath(''), null);
});

function setUp(dir: string) {
  const host = new FakeHost(dir);
  const exe = host.executable('agent', 'one');
  const facts = host.process({ pid: 500, ticks: 777n, exe, cgroup: '/system.slice/a.service' });
  let nowMs = 0;
  const clock = { now: () => nowMs, monotonic: () => nowMs };
  const paths = (some = {}) =>
    new CgroupPaths({ procRoot: host.procRoot, cgroupRoot: host.cgroupRoot, clock, ...some });
  return { host, id: facts.cgroupId, paths, pass: (ms: number) => (nowMs += ms) };
}

t.test('asks the process, and remembers when both it and the cgroup are gone', async (t) => {
  const { host, id, paths } = setUp(t.testdir());
  const cgroups = paths();
  t.equal(await cgroups.resolve(id, 500), '/system.slice/a.service');
  host.end(500);
  rmSync(join(host.cgroupRoot, 'system.slice'), { recursive: true });
  t.equal(await cgroups.resolve(id, 500), '/system.slice/a.service');
});

t.test('does not believe a process that has moved since', async (t) => {
  const { host, id, paths } = setUp(t.testdir());
  host.cgroup('/system.slice/b.service');
  writeFileSync(join(host.procRoot, '500/cgroup'), '0::/system.slice/b.service\n');
  t.equal(await paths().resolve(id, 500), '/system.slice/a.service', 'found by walking');
});

t.test('walks at most once in a while, and not without bound', async (t) => {
  const { host, id, paths, pass } = setUp(t.testdir());
  host.end(500);
  t.equal(await paths({ maxWalkDirectories: 1 }).resolve(id, 500), null, 'bounded');

  const waits: number[] = [];
  const cgroups = paths({
    sleep: async (ms: number) => {
      waits.push(ms);
      // Time for the other caller to find out that the process is gone.
      await new Promise((resolve) => setTimeout(resolve, 50));
      pass(ms);
    },
  });
  t.equal(await cgroups.resolve(1n, 500), null);
  const late = host.cgroup('/late.service');
  const [a, b] = await Promise.all([cgroups.resolve(late, 500), cgroups.resolve(late, 501)]);
  t.strictSame([a, b], ['/late.service', '/late.service'], 'one walk answers both');
  t.strictSame(waits, [0, 500], 'which waited for its turn');
});

t.test('asks who may have seen it before it was gone, and remembers that too', async (t) => {
  const { host, id, paths } = setUp(t.testdir());
  host.end(500);
  rmSync(join(host.cgroupRoot, 'system.slice'), { recursive: true });
  const asked: bigint[] = [];
  const hint = (of: bigint): string | null => {
    asked.push(of);
    return of === id ? '/system.slice/a.service' : null;
  };
  const cgroups = paths({ hint });
  t.equal(await cgroups.resolve(id, 500), '/system.slice/a.service');
  t.equal(await cgroups.resolve(id, 500), '/system.slice/a.service');
  t.equal(await cgroups.resolve(9_999n, 500), null, 'of others it is looked for');
  t.strictSame(asked, [id, 9_999n]);
});

t.test('takes the word of whoever made the cgroup', async (t) => {
  const { paths } = setUp(t.testdir());
  const cgroups = paths();
  cgroups.remember(31_337n, '/sluice/run-1');
  t.equal(await cgroups.resolve(31_337n, 1), '/sluice/run-1');
});
