/**
 * A kernel that takes programs for the BPF LSM and never asks them, because `lsm=` leaves bpf out: everything else
 * works, the tier is what was measured, and a policy that demands more is refused.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { activeModules } from '#src/kernel/lsm.ts';
import { hasLinks } from '#src/kernel/pins.ts';
import { patience } from '#test/support/patience.ts';
import { SLUICE, TestSluice } from '#test/support/sluice.ts';
import { makeWorkerUser } from '#test/support/systemd.ts';
import { World } from '#test/support/world.ts';

t.setTimeout(120_000 * patience);
await makeWorkerUser();
const world = await World.open([]);
t.teardown(() => world.close());
const policy = (minimum: string): string =>
  `version: 1\nenforcement: { minimum: ${minimum} }\nagents:\n  - { name: a, match: [{ run: a }] }\n`;

t.test('the guest is what it should be', async (t) => {
  const modules = activeModules();
  t.ok(modules !== null && !modules.includes('bpf'), String(modules));
});

t.test('what demands the tier does not start, and leaves nothing behind', async (t) => {
  const file = join(world.dir, 'demanding.yaml');
  writeFileSync(file, policy('lsm'));
  const dirs = ['run', 'state'].map((name) => join(world.dir, `refused-${name}`));
  for (const dir of dirs) mkdirSync(dir, { mode: 0o700 });
  const [runtime = '', state = ''] = dirs;
  const where = ['--runtime-dir', runtime, '--state-dir', state];
  const done = await world.near.run([SLUICE, 'daemon', '--policy', file, '--workers', '1', ...where]);
  t.equal(done.code, 1);
  t.match(done.stderr, /policy demands the enforcement tier lsm, and this host has base: .*without bpf/);
  t.match(done.stderr, /hint: boot a kernel with .*lsm=/);
  t.equal(hasLinks('/sys/fs/bpf/sluice'), false);
  t.equal((await world.near.run([SLUICE, 'policy', 'check', file])).code, 0, 'offline it is as good as any');
});

t.test('all else works, and says what is not there', async (t) => {
  const sluice = await TestSluice.start(world, { policy: policy('base'), workers: 1 });
  const status = await sluice.status();
  t.match(status, { tier: 'base', enforcing: true, tierReason: /does not ask them .*without bpf/ });
  t.same(
    status.programs.filter(({ name }) => name.startsWith('sluice_lsm')),
    [],
    'what is never asked is taken away again',
  );
  const doctor = await sluice.cli(['doctor']);
  t.equal(doctor.code, 0, doctor.stdout);
  t.match(doctor.stdout, /^warn {2}tier {10}base: .*without bpf/m);
  await t.rejects(sluice.api.applyPolicy({ path: sluice.policyPath, text: policy('lsm') }), {
    message: /demands the enforcement tier lsm/,
  });
  const packet = 'import socket; socket.socket(17, 3)';
  t.equal(
    (await sluice.run('a', ['python3', '-c', packet])).code,
    0,
    'as docs/bypass-matrix.md has it for base',
  );
  t.match((await sluice.cli(['status'])).stdout, /^tier {7}base; .*lsm_create was allowed.*without bpf$/m);
});
