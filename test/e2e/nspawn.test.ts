/**
 * A container with a real systemd in it and a network of its own (`systemd-nspawn --private-network --boot`): its
 * units are agents from their first instruction, and what they send crosses the container's own pair as TLS.
 *
 * The container's root is the host's own /usr, read-only, with everything else in memory (`--volatile=yes`).
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { removeCgroup } from '#src/kernel/cgroup.ts';
import { must, until } from '#test/support/command.ts';
import { joinContainer } from '#test/support/container.ts';
import { BOX, FAR } from '#test/support/network.ts';
import { RESPONSE_MARKER } from '#test/support/nginx.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS } from '#test/support/world-policy.ts';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(280_000);
const world = await World.open(['nginx']);
t.teardown(() => world.close());
const sluice = await TestSluice.start(world);
const MARKER = 'REQUEST-MARKER-c0de';
/** Where a hybrid host has systemd's own hierarchy. */
const NAMED_HIERARCHY = '/sys/fs/cgroup/systemd';

/** The unit waits for this file: its network comes from outside, and the capture has to see all of it. */
const GO = 'go';
const UNIT = `[Unit]
Description=An agent in a container
[Service]
Type=oneshot
ExecStartPre=/bin/sh -c 'until [ -e /results/${GO} ]; do sleep 0.1; done'
ExecStart=/usr/bin/curl -sS --max-time 60 --resolve shop.test:80:${FAR.ipv4} http://shop.test/secret/${MARKER}
StandardOutput=file:/results/stdout
StandardError=file:/results/stderr
[Install]
WantedBy=multi-user.target
`;

/** Pid of the container's first process, by the pid of what it was started by. */
function leaderOf(supervisor: number): number | null {
  const read = (file: string): string => {
    try {
      return readFileSync(`/proc/${file}`, 'utf8').trim();
    } catch {
      return ''; // it ended by itself
    }
  };
  for (const child of read(`${supervisor}/task/${supervisor}/children`).split(' ').filter(Boolean)) {
    if (read(`${child}/comm`) === 'systemd') return Number(child);
    const below = leaderOf(Number(child));
    if (below !== null) return below;
  }
  return null;
}

t.test('a unit in a container with a network of its own', async (t) => {
  const results = join(world.dir, 'results');
  mkdirSync(results);
  const unit = join(world.dir, 'agent.service');
  writeFileSync(unit, UNIT);
  const named = join(NAMED_HIERARCHY, world.name);
  const onHybrid = existsSync(NAMED_HIERARCHY);
  if (onHybrid) {
    mkdirSync(named);
    t.teardown(() => until('the cgroup of the container to be free', () => removeCgroup(named)));
    // Where its version 2 cgroup is that of a run, nspawn makes the same path here, and leaves it.
    const runs = join(NAMED_HIERARCHY, 'sluice');
    if (!existsSync(runs)) t.teardown(() => until('nothing of it to be left', () => removeCgroup(runs)));
  }
  const enter = onHybrid ? `echo 0 > ${named}/cgroup.procs; ` : '';
  // In a pid namespace of its own, whose first process is systemd-nspawn: whatever ends that ends all of it.
  const nspawn = [
    ...['unshare', '--fork', '--pid', '--mount-proc', '--kill-child=SIGKILL'],
    ...['systemd-nspawn', '--quiet', '--directory=/', '--volatile=yes', '--boot', '--private-network'],
    ...['--register=no', '--keep-unit', `--machine=${world.name}`, '--console=pipe'],
    ...[`--bind-ro=${unit}:/run/systemd/system/agent.service`, `--bind=${results}:/results`],
    'systemd.unit=agent.service',
  ];
  const container = sluice.start(AGENTS.shop, ['sh', '-c', `${enter}echo $$; exec "$@"`, 'sh', ...nspawn], {
    env: { SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1' },
  });
  const { supervisor, capture } = await joinContainer(t, world, container, leaderOf);
  writeFileSync(join(results, GO), '');

  const stdout = await until(
    'the answer in the container',
    () => {
      const files = readdirSync(results).map((name) => readFileSync(join(results, name), 'utf8'));
      return files.join('').length > 0 ? files.join('') : null;
    },
    120_000,
  );
  t.match(stdout, RESPONSE_MARKER);
  await world.nginx.waitForEntry((e) => e.client.replace('::ffff:', '') === BOX.ipv4 && e.status === '200');
  t.equal(await capture.assertAllTls(), 1);
  await capture.assertNoPlaintext([MARKER, RESPONSE_MARKER]);
  t.match(await sluice.waitForFlow((f) => f.dst.host === 'shop.test'), {
    agent: AGENTS.shop,
    disposition: 'upgraded',
    src: { exe: '/usr/bin/curl', uid: 0 },
  });
  await capture.stop();

  process.kill(supervisor, 'SIGKILL');
  await container.finished;
  await until('the pair to vanish with the container', async () => {
    const links = await must(world.far.wrap(['ip', '-o', 'link', 'show']));
    return !links.includes('far1');
  });
});
