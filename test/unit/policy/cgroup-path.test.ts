import t from 'tap';
import {
  fitsComponent,
  isPattern,
  isPlainPath,
  isSliceName,
  isUnitName,
  runCgroupPath,
  unitCgroupPath,
  withoutStar,
} from '#src/policy/cgroup-path.ts';

t.test('where units live', (t) => {
  const cases: [string, string | null, string][] = [
    ['billing.service', null, '/system.slice/billing.service'],
    ['billing.service', 'apps.slice', '/apps.slice/billing.service'],
    ['billing.service', 'apps-pay-eu.slice', '/apps.slice/apps-pay.slice/apps-pay-eu.slice/billing.service'],
    ['billing.service', '-.slice', '/billing.service'],
    ['worker@1.service', null, '/system.slice/system-worker.slice/worker@1.service'],
    ['worker@1.service', 'apps.slice', '/apps.slice/worker@1.service'],
    [
      'serial-getty@ttyS0.service',
      null,
      '/system.slice/system-serial\\x2dgetty.slice/serial-getty@ttyS0.service',
    ],
    ['a\\x2db@1.service', null, '/system.slice/system-a\\x5cx2db.slice/a\\x2db@1.service'],
    ['apps-pay.slice', null, '/apps.slice/apps-pay.slice'],
    ['session-3.scope', 'user-1000.slice', '/user.slice/user-1000.slice/session-3.scope'],
    ['cpu.service', null, '/system.slice/_cpu.service'],
    ['_odd.service', null, '/system.slice/__odd.service'],
    ['cpufreq.service', null, '/system.slice/cpufreq.service'],
  ];
  for (const [unit, slice, path] of cases) t.equal(unitCgroupPath(unit, slice), path, unit);
  t.equal(runCgroupPath('demo'), '/sluice/run/demo');
  t.end();
});

t.test('names of units and slices', (t) => {
  for (const name of [
    'a.service',
    'a@b.service',
    'a@b@c.service',
    'dev-sda\\x2d1.mount',
    'x.scope',
    'a:b.socket',
  ]) {
    t.equal(isUnitName(name), true, name);
  }
  for (const name of [
    '',
    'billing',
    '.service',
    'a/b.service',
    'a.timer',
    'a@.service',
    `${'a'.repeat(250)}.service`,
    '../x.service',
  ]) {
    t.equal(isUnitName(name), false, name);
  }
  for (const name of ['a.slice', 'a-b.slice', '-.slice']) t.equal(isSliceName(name), true, name);
  for (const name of [
    'a',
    'a.service',
    '-a.slice',
    'a-.slice',
    'a--b.slice',
    '.slice',
    'a/b.slice',
    'a@b.slice',
  ]) {
    t.equal(isSliceName(name), false, name);
  }
  t.end();
});

t.test('paths with one spelling', (t) => {
  for (const path of ['/a', '/usr/bin/python3', '/system.slice/a b']) t.equal(isPlainPath(path), true, path);
  for (const path of ['', '/', 'a', '/a/', '//a', '/a//b', '/a/../b', '/./a', '/a\0'])
    t.equal(isPlainPath(path), false, path);
  t.end();
});

t.test('patterns', async (t) => {
  for (const text of ['/a/b*', '*', 'w@*.service', '/a*/b*']) t.ok(isPattern(text), text);
  for (const text of ['/a/b', '/a/*b*', '**']) t.notOk(isPattern(text), text);
  t.equal(withoutStar('w@*.service'), 'w@x.service');
  t.ok(fitsComponent('web-*.service', 'web-.service'));
  t.ok(fitsComponent('*', 'anything'));
  t.notOk(fitsComponent('ab*ba', 'aba'), 'what stands before the star is not what stands behind it');
  t.notOk(fitsComponent('web', 'webs'));
});
