import t from 'tap';
import { FakeBackend } from '../api/sample.ts';
import { testCli } from './in-process.ts';
import { script } from './script.ts';

t.test('refused while a daemon runs', (t) =>
  script(
    t,
    new FakeBackend(),
    `
$ sluice uninstall --yes
! sluice: a daemon is running
!   hint: stop it first: systemctl stop sluice
= 1
`,
  ),
);

t.test('says what it removed', async (t) => {
  const asked: unknown[] = [];
  const done = await testCli(['uninstall', '--runtime-dir', '/nonexistent', '--pin-dir', '/pins', '--yes'], {
    uninstall: async (options) => {
      asked.push(options);
      return ['/pins/links/a', '/cgroup\nx'];
    },
  });
  t.same(done, { code: 0, stdout: 'removed /pins/links/a\nremoved /cgroup\\x0ax\n', stderr: '' });
  t.same(asked, [{ runtimeDirectory: '/nonexistent', pinDirectory: '/pins' }]);
});

t.test('nothing there is no failure', async (t) => {
  const done = await testCli(['uninstall', '--runtime-dir', '/nonexistent', '-y'], {
    uninstall: async () => [],
  });
  t.same(done, { code: 0, stdout: 'nothing to remove\n', stderr: '' });
});
