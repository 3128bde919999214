/**
 * A host that has run out: of descriptors for a worker, and of disk under the store. Enforcement goes on, and
 * what could not be done is told.
 */
import t from 'tap';
import { must, until } from '#test/support/command.ts';
import { FAR } from '#test/support/network.ts';
import { RESPONSE_MARKER } from '#test/support/nginx.ts';
import { PYTHON } from '#test/support/python.ts';
import { RAW_PORTS } from '#test/support/raw-ports.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS } from '#test/support/world-policy.ts';

const MARKER = 'REQUEST-MARKER-b7e3';
const curl = ['curl', '-sS', '--max-time', '20', `http://shop.test/secret/${MARKER}`];

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(280_000);
t.test('descriptors: what cannot be carried is refused and recorded, and it recovers', async (t) => {
  const world = await World.open(['nginx', 'raw']);
  t.teardown(() => world.close());
  const sluice = await TestSluice.start(world, { workers: 1, wrapper: ['prlimit', '--nofile=512:512'] });
  const capture = await world.capture();
  const wanted = 400;
  // All at once and kept open: each takes two descriptors of the worker, which has 512 for everything.
  const script = `
import socket, sys
kept = []
for _ in range(${wanted}):
    try:
        s = socket.create_connection(("${FAR.ipv4}", ${RAW_PORTS.echo}), 30); s.settimeout(30); kept.append(s)
    except OSError: pass
served = 0
for s in kept:
    try: s.sendall(b"${MARKER}")
    except OSError: pass
for s in kept:
    try: served += s.recv(100) == b"${MARKER}"
    except OSError: pass
print(len(kept), served, flush=True)
sys.stdin.read()`;
  const agent = sluice.start(AGENTS.shop, ['prlimit', '--nofile=4096:4096', PYTHON, '-c', script], {
    keepStdin: true,
  });
  await agent.waitFor((r) => r.stdout.includes('\n'), 60_000);
  const [, served = 0] = agent.stdout.trim().split(' ').map(Number);
  t.ok(served > 20 && served < wanted, `${served} of ${wanted} were served`);
  agent.endInput();
  await agent.finished;
  const flows = await sluice.waitForFlows(wanted, (f) => f.dst.port === RAW_PORTS.echo);
  t.equal(flows.length, wanted, 'each has one record');
  t.equal(flows.filter((f) => f.verdict === 'allow').length, served);
  const refused = new Set(flows.filter((f) => f.verdict !== 'allow').map((f) => f.reason));
  t.strictSame(
    [...refused].filter((r) => !['overloaded', 'connect_failed', 'not_delivered'].includes(r)),
    [],
  );
  const after = await sluice.run(AGENTS.shop, curl);
  t.match(after, { code: 0, stdout: RESPONSE_MARKER }, `it serves again: ${after.stderr}`);
  await capture.assertNoPlaintext([MARKER, RESPONSE_MARKER]);
  await sluice.uninstall();
});

t.test('disk: with the store full, flows go on, status says so, and the log has every record', async (t) => {
  const world = await World.open(['nginx']);
  t.teardown(() => world.close());
  // A disk of its own, for the daemon's mount namespace alone: gone when the daemon is.
  const script = 'mount -t tmpfs -o size=512k,mode=0700 tmpfs "$0" && exec "$@"';
  const state = `${world.dir}/sluice-state`;
  const wrapper = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, state];
  const sluice = await TestSluice.start(world, { wrapper });
  const capture = await world.capture();
  const inside = ['nsenter', '--mount', '--target', String(sluice.daemon.pid), '--'];
  await must([...inside, 'sh', '-c', `cat /dev/zero >'${state}/filler' 2>/dev/null || true`]);
  const requests = 30;
  const loop = `i=0; while [ $i -lt ${requests} ]; do curl -sS http://shop.test/secret/${MARKER} || exit 9; i=$((i+1)); done`;
  const done = await sluice.run(AGENTS.shop, ['sh', '-c', loop]);
  t.equal(done.code, 0, done.stderr);
  t.equal(done.stdout.split(RESPONSE_MARKER).length - 1, requests);
  await sluice.waitForFlows(requests, (f) => f.reason === 'ok' && f.dst.host === 'shop.test');
  const { store } = await until('status to show it', async () => {
    const status = await sluice.status();
    return !status.store.ok && status;
  });
  t.match(store, { ok: false, error: /full|space|disk/i });
  t.equal((await sluice.cli(['status'])).code, 1, 'degraded');
  t.match((await sluice.cli(['status'])).stdout, /full|space|disk/i);

  await must([...inside, 'rm', `${state}/filler`]);
  await sluice.run(AGENTS.shop, curl);
  await until('the store to be well again', async () => {
    await sluice.run(AGENTS.shop, curl);
    return (await sluice.status()).store.ok;
  });
  await capture.assertNoPlaintext([MARKER, RESPONSE_MARKER]);
  await capture.assertAllTls();
});
