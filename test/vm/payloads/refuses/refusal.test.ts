/**
 * Where Sluice cannot work it says so and leaves the host as it was: a kernel without what the programs need, and
 * systemd with cgroups of version 1, in whole or in part.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import t from 'tap';
import { must, run } from '#test/support/command.ts';
import { patience } from '#test/support/patience.ts';
import { install, show, sluice } from '#test/support/systemd.ts';

t.setTimeout(60_000 * patience);

const policy = `version: 1
trust_domain: world.test
agents:
  - { name: billing, match: [{ unit: billing.service }] }
rules: []
destinations: []
`;

/** What must be named, and by which line of doctor. */
function expected(): { readonly why: RegExp; readonly line: RegExp } {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8');
  if (/ \/sys\/fs\/cgroup [^\n]* - cgroup2 /.test(mounts))
    return {
      why: /this kernel \(5\.10\.[^)]*\) lacks what the programs need: \S+/,
      line: /FAIL +kernel +5\.10/,
    };
  if (mounts.includes(' - cgroup2 '))
    return { why: /version 1: .*\(hybrid\)/, line: /FAIL +cgroup +.*hybrid/ };
  return { why: /no cgroup v2 hierarchy is mounted/, line: /FAIL +cgroup +no cgroup v2/ };
}

const cgroups = (): string[] => readdirSync('/sys/fs/cgroup', { recursive: true, encoding: 'utf8' });

t.test(`refused on ${release()}, naming what is missing`, async (t) => {
  const { why, line } = expected();
  await install(policy);
  const started = await run(['systemctl', 'start', 'sluice'], { timeoutMs: 60_000 });
  t.equal(started.code, 1, 'a unit that is not ready has not started');
  t.not((await show('sluice', 'ActiveState'))['ActiveState'], 'active');
  await run(['systemctl', 'stop', 'sluice']);
  const said = await must(['journalctl', '--unit=sluice', '--no-pager', '--output=cat']);
  t.match(said, why);
  t.match(said, /hint: /, 'with the mend');
  const doctor = await sluice('doctor');
  t.equal(doctor.code, 1);
  t.match(doctor.stdout, line);
});

t.test('nothing is left in the kernel', async (t) => {
  t.notOk(existsSync('/sys/fs/bpf/sluice'));
  t.notMatch(await must(['bpftool', 'prog', 'list']), /\bname sluice_/);
  t.strictSame(
    cgroups().filter((path) => /(^|\/)sluice($|\/)/.test(path)),
    [],
  );
});

t.test('uninstall has nothing to do, and says so', async (t) => {
  const done = await sluice('uninstall');
  t.equal(done.code, 0, done.stdout + done.stderr);
});
