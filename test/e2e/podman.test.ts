/**
 * A container as podman makes it, with a network of its own: who starts it is an agent, and so is what runs in it. What
 * it sends crosses the container's own pair as TLS.
 *
 * Its root is empty but for the host's own /usr, read-only, so that no image is needed. podman's storage is the world's.
 */
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { run, until } from '#test/support/command.ts';
import { joinContainer } from '#test/support/container.ts';
import { BOX, FAR } from '#test/support/network.ts';
import { RESPONSE_MARKER } from '#test/support/nginx.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS } from '#test/support/world-policy.ts';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(1_000_000);
const MARKER = 'REQUEST-MARKER-90d3';

/** Null: there is one. */
async function whyNoPodman(): Promise<string | null> {
  const { code } = await run(['podman', '--version']);
  return code === 0 ? null : 'podman is not installed';
}

/** Settings by which podman leaves the host's own alone. */
function settings(directory: string): Readonly<Record<string, string>> {
  const files = {
    'containers.conf': `[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "crun"
static_dir = "${directory}/static"
tmp_dir = "${directory}/run/libpod"
`,
    'storage.conf': `[storage]
driver = "vfs"
runroot = "${directory}/run/storage"
graphroot = "${directory}/storage"
`,
  };
  mkdirSync(directory);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  return {
    CONTAINERS_CONF: join(directory, 'containers.conf'),
    CONTAINERS_STORAGE_CONF: join(directory, 'storage.conf'),
  };
}

/** What the container runs: it waits for its network, which comes from outside. */
const SCRIPT = `until [ -e /results/go ]; do sleep 0.1; done
curl -sS --max-time 120 --resolve shop.test:80:${FAR.ipv4} http://shop.test/secret/${MARKER} >/results/answer 2>&1
sleep 600`;

/** Pid of the shell in the container, among what descends from `ancestor`. */
function shellBelow(ancestor: number): number | null {
  const read = (file: string): string => {
    try {
      return readFileSync(`/proc/${file}`, 'utf8');
    } catch {
      return ''; // it ended by itself
    }
  };
  for (const child of read(`${ancestor}/task/${ancestor}/children`).trim().split(' ').filter(Boolean)) {
    if (read(`${child}/cmdline`).startsWith(`sh\0-c\0${SCRIPT}`)) return Number(child);
    const below = shellBelow(Number(child));
    if (below !== null) return below;
  }
  return null;
}

const reason = await whyNoPodman();

t.test('a container with a network of its own', { skip: reason ?? false }, async (t) => {
  const world = await World.open(['nginx']);
  t.teardown(() => world.close());
  const sluice = await TestSluice.start(world);
  const results = join(world.dir, 'results');
  const root = join(world.dir, 'root');
  for (const directory of [results, root]) mkdirSync(directory);
  for (const name of ['bin', 'lib', 'lib64', 'sbin'])
    if (existsSync(`/${name}`)) symlinkSync(`usr/${name}`, join(root, name));
  const podman = [
    ...['podman', 'run', '--network=none', '--cgroups=disabled', '--rootfs'],
    ...['--volume=/usr:/usr:ro', `--volume=${results}:/results`],
    // Not the host's defaults, which whoever may not raise limits cannot give.
    ...['--ulimit=nofile=1024:1024', '--ulimit=nproc=1024:1024'],
    ...[root, 'sh', '-c', SCRIPT],
  ];
  // On a hybrid host it would find cgroups it does not take. And in a pid namespace of its own, whose first process is
  // the shell: whatever ends that ends the container, conmon and all.
  const mount = 'mount -t cgroup2 cgroup2 /sys/fs/cgroup; "$@"; exit';
  const own = ['unshare', '--fork', '--pid', '--mount-proc', '--kill-child=SIGKILL', 'sh', '-c', mount, 'sh'];
  const container = sluice.start(AGENTS.shop, ['sh', '-c', 'echo $$; exec "$@"', 'sh', ...own, ...podman], {
    env: settings(join(world.dir, 'podman')),
  });
  const { supervisor, capture } = await joinContainer(t, world, container, shellBelow);
  writeFileSync(join(results, 'go'), '');

  const answer = join(results, 'answer');
  t.match(
    await until('the answer', () => (existsSync(answer) && readFileSync(answer, 'utf8')) || null, 150_000),
    RESPONSE_MARKER,
  );
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
});
