/**
 * An agent that is gone, and its cgroup with it, before anybody looks: a oneshot unit. Its record says all the same which
 * unit it was.
 */
import { mkdirSync, rmdirSync } from 'node:fs';
import t from 'tap';
import { findCgroup2, removeCgroup } from '#src/kernel/cgroup.ts';
import { until } from '#test/support/command.ts';
import { FAR } from '#test/support/network.ts';
import { firstAnswer, udpClient } from '#test/support/python.ts';
import { RAW_PORTS } from '#test/support/raw-ports.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS, worldPolicy } from '#test/support/world-policy.ts';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(280_000);
const world = await World.open(['raw']);
t.teardown(() => world.close());
const slice = `/sluice-gone-${process.pid}.slice`;
const inSlice = `${findCgroup2()}${slice}`;
mkdirSync(inSlice);
world.beforeClose(() => until('the slice to be empty', () => removeCgroup(inSlice)));
const policy = worldPolicy(world).replace(
  `match: [{ run: ${AGENTS.shop} }]`,
  `match: [{ cgroup: ${slice} }]`,
);
const sluice = await TestSluice.start(world, { policy });

/** Runs it in a cgroup of its own, from the beginning to the end of which the daemon sees nothing. */
async function unseen(unit: string, argv: readonly string[]): Promise<string> {
  const cgroup = `${inSlice}/${unit}`;
  mkdirSync(cgroup);
  sluice.kill('SIGSTOP');
  try {
    const enter = 'echo 0 > "$0/cgroup.procs" && exec "$@"';
    const { stdout } = await world.near.run(['sh', '-c', enter, cgroup, ...argv]);
    rmdirSync(cgroup);
    return stdout;
  } finally {
    sluice.kill('SIGCONT');
  }
}

t.test('a flow that was carried', async (t) => {
  t.match(await unseen('carried.service', firstAnswer(FAR.ipv4, RAW_PORTS.echo, 'ping')), /^ping/);
  const { src } = await sluice.waitForFlow(({ dst }) => dst.port === RAW_PORTS.echo);
  t.match(src, { cgroup: `${slice}/carried.service`, unit: 'carried.service' });
});

t.test('one that was refused in the kernel', async (t) => {
  t.equal(await unseen('refused@1.service', udpClient(FAR.ipv4, 9, 'x')), 'PermissionError');
  const { src } = await sluice.waitForFlow(({ reason }) => reason === 'udp_denied');
  t.match(src, { cgroup: `${slice}/refused@1.service`, unit: 'refused@1.service' });
});
