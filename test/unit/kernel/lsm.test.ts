import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { activeModules, needsSpliceHook } from '#src/kernel/lsm.ts';

t.test('the modules are read in their order, or are not known', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-lsm-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  writeFileSync(join(dir, 'lsm'), 'lockdown,capability,landlock,bpf\n');
  t.same(activeModules(join(dir, 'lsm')), ['lockdown', 'capability', 'landlock', 'bpf']);
  t.equal(activeModules(join(dir, 'none')), null);
});

t.test('before 6.5 splice() has a hook of its own', async (t) => {
  for (const old of ['6.1.0-56-cloud-amd64', '6.4.16', '5.15']) t.equal(needsSpliceHook(old), true, old);
  for (const later of ['6.5.0', '6.12.117+deb13-cloud-amd64', '7.3.1'])
    t.equal(needsSpliceHook(later), false, later);
});
