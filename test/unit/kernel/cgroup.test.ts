import t from 'tap';
import { findCgroup2, ownCgroup, requireCgroup2 } from '#src/kernel/cgroup.ts';

const v1 = '31 23 0:27 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu\n';

t.test('finds the whole hierarchy wherever it is mounted', async (t) => {
  const line = '40 23 0:36 / /sys/fs/cgroup/uni\\040fied rw,relatime - cgroup2 cgroup2 rw\n';
  t.equal(findCgroup2(v1 + line), '/sys/fs/cgroup/uni fied');
});

t.test('a bind mount of a part of it does not do', async (t) => {
  const part = '41 23 0:36 /user.slice /mnt/cg rw master:1 - cgroup2 cgroup2 rw\n';
  t.throws(() => findCgroup2(v1 + part), { code: 'NOT_SUPPORTED', hint: /mount -t cgroup2/ });
});

t.test('the own cgroup is the one of the v2 line', async (t) => {
  t.equal(ownCgroup('4:memory:/a\n0::/system.slice/sluice.service\n'), '/system.slice/sluice.service');
  t.equal(ownCgroup('4:memory:/a\n'), '/');
});

t.test('a hybrid hierarchy is refused where systemd runs, and only there', async (t) => {
  const hybrid = `${v1}40 23 0:36 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n`;
  const unified = '40 23 0:36 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n';
  t.throws(() => requireCgroup2(hybrid, true), {
    code: 'NOT_SUPPORTED',
    message: /hybrid/,
    hint: /systemd\.unified_cgroup_hierarchy=1/,
  });
  t.equal(requireCgroup2(hybrid, false), '/sys/fs/cgroup/unified');
  t.equal(requireCgroup2(unified, true), '/sys/fs/cgroup');
  t.throws(() => requireCgroup2(v1, true), { code: 'NOT_SUPPORTED' });
});
