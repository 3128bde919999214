/**
 * The tier of enforcement as an operator meets it: status, doctor, metrics and each record say the same, and under a
 * policy that demands more than this host has no daemon starts, whatever is in force already.
 */
import t from 'tap';
import { hasLinks } from '#src/kernel/pins.ts';
import type { Finished } from '#test/support/command.ts';
import { readExposition } from '#test/support/exposition.ts';
import { FAR } from '#test/support/network.ts';
import { tcpClient, udpClient } from '#test/support/python.ts';
import { RAW_PORTS } from '#test/support/raw-ports.ts';
import { SLUICE, TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS, worldPolicy } from '#test/support/world-policy.ts';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(1_000_000);
const world = await World.open(['nginx', 'raw']);
t.teardown(() => world.close());
const policy = (minimum: 'base' | 'lsm'): string =>
  worldPolicy(world, { more: `enforcement: { minimum: ${minimum} }\n` });
const sluice = await TestSluice.start(world, { policy: policy('base') });
const { tier } = await sluice.status();

/** A daemon that should end by itself. */
function tryDaemon(): Promise<Finished> {
  const dirs = ['--runtime-dir', sluice.runtimeDir, '--state-dir', sluice.stateDir];
  const command = [SLUICE, 'daemon', '--policy', sluice.policyPath, '--workers', '1', ...dirs];
  return world.near.run(command, { timeoutMs: 60_000 });
}

t.test('status, doctor, metrics and records say the same', async (t) => {
  const status = await sluice.cli(['status']);
  t.match(status.stdout, new RegExp(`^tier +${tier}\\b`, 'm'));
  const doctor = await sluice.cli(['doctor']);
  t.match(doctor.stdout, new RegExp(`^(ok|warn) +tier +${tier}\\b`, 'm'));
  const socket = `${sluice.runtimeDir}/api.sock`;
  const metrics = await world.near.run(['curl', '-sSf', '--unix-socket', socket, 'http://sluice/v1/metrics']);
  const samples = readExposition(metrics.stdout).get('sluice_enforcement_tier')?.samples;
  t.same([...(samples ?? [])], [[`{tier="${tier}"}`, 1]]);

  t.equal((await sluice.run(AGENTS.shop, ['curl', '-sSf', 'http://shop.test/'])).code, 0);
  await sluice.run(AGENTS.nobody, tcpClient(FAR.ipv4, RAW_PORTS.echo, 'x'));
  await sluice.run(AGENTS.shop, udpClient(FAR.ipv4, 9, 'x'));
  for (const [what, reason] of [
    ['carried', 'ok'],
    ['refused by policy', 'no_rule'],
    ['refused in the kernel', 'udp_denied'],
  ] as const)
    t.equal((await sluice.waitForFlow((r) => r.reason === reason)).tier, tier, what);
});

t.test('a policy that demands lsm is taken where it is there', { skip: tier !== 'lsm' }, async (t) => {
  await sluice.api.applyPolicy({ path: sluice.policyPath, text: policy('lsm') });
  sluice.writePolicy(policy('lsm'));
  await sluice.stop();
  await sluice.startDaemon();
  t.match(await sluice.status(), { tier, enforcing: true });
});

t.test('and nowhere else', { skip: tier === 'lsm' }, async (t) => {
  const demand = { path: sluice.policyPath, text: policy('lsm') };
  const words = /demands the enforcement tier lsm, and this host has base/;
  await t.rejects(sluice.api.applyPolicy(demand), { message: words });
  t.match(await sluice.status(), { tier, enforcing: true }, 'what was in force stays');

  await sluice.stop();
  sluice.writePolicy(policy('lsm'));
  const beside = await tryDaemon();
  t.equal(beside.code, 1, 'where a daemon was before');
  t.match(beside.stderr, words);
  t.match(beside.stderr, /hint: boot a kernel with .*lsm=/);
  t.ok(hasLinks('/sys/fs/bpf/sluice'), 'its programs stay: nobody is let go');

  await sluice.uninstall();
  const fresh = await tryDaemon();
  t.equal(fresh.code, 1, 'where none was');
  t.match(fresh.stderr, words);
  t.notOk(hasLinks('/sys/fs/bpf/sluice'), 'and nothing is left');
});
