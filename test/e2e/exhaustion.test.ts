/**
 * A host that has run out: of descriptors for a worker, and of disk under the store. Enforcement goes on, and
 * what could not be done is told.
 */
import { readdirSync, readFileSync } from 'node:fs';
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
const curl = ['curl', '-sS', '--max-time', '120', `http://shop.test/secret/${MARKER}`];

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
        s = socket.create_connection(("${FAR.ipv4}", ${RAW_PORTS.echo}), 60); s.settimeout(60); kept.append(s)
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
  await agent.waitFor((r) => r.stdout.includes('\n'), 120_000);
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

for (const [how, limitOf] of [
  ['nothing', () => 3],
  // Descriptors take the lowest number that is free: libuv can accept, and close, by giving up one it keeps for that.
  ['nothing but what libuv keeps', (worker: number) => lowestFree(openDescriptors(worker))],
] as const) {
  t.test(`a worker that has ${how} to accept with: it waits, and serves again`, async (t) => {
    const world = await World.open(['nginx', 'raw']);
    t.teardown(() => world.close());
    const sluice = await TestSluice.start(world, { workers: 1 });
    const capture = await world.capture();
    const worker = (await sluice.status()).workers[0]?.pid ?? 0;
    const before = await prlimit(worker, '--nofile', '--noheadings', '--raw', '-o', 'SOFT');

    const script = `
import socket, sys
s = socket.create_connection(("${FAR.ipv4}", ${RAW_PORTS.echo}), 60); s.settimeout(60)
for line in sys.stdin:
    s.sendall(line.encode()); got = b""
    while len(got) < len(line): got += s.recv(100)
    print("echoed", got.decode().strip(), flush=True)`;
    const open = sluice.start(AGENTS.shop, [PYTHON, '-c', script], { keepStdin: true });
    open.write(`first ${MARKER}\n`);
    await open.waitFor((r) => r.stdout.includes('echoed first'));

    await prlimit(worker, `--nofile=${limitOf(worker)}:`);
    // What comes before it is noticed may be cut off; then connections wait.
    const early = await sluice.run(AGENTS.shop, [...curl, '--max-time', '3']);
    t.not(early.code, 0, early.stdout);
    const noticed = /worker 0 has no file descriptors left/;
    const status = await until('it to be noticed', async () => {
      const now = await sluice.cli(['status']);
      return noticed.test(now.stdout) && now;
    });
    t.equal(status.code, 1, 'degraded');
    const waiting = Array.from({ length: 5 }, () => sluice.start(AGENTS.shop, curl));
    const usedBefore = cpuMs(worker);
    const begun = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    open.write(`second ${MARKER}\n`);
    await open.waitFor((r) => r.stdout.includes('echoed second'));
    const busy = (cpuMs(worker) - usedBefore) / (performance.now() - begun);
    t.ok(busy < 0.4, `it was busy for ${Math.round(busy * 100)} % of the time`);
    t.notOk(
      waiting.some((r) => r.ended),
      'they wait',
    );
    t.equal((await capture.conversations(443)).length, 0, 'nobody was carried meanwhile');
    t.match(await sluice.cli(['status']), { code: 1, stdout: noticed }, 'and stays so');

    await prlimit(worker, `--nofile=${before}:`);
    for (const { finished } of waiting) {
      const done = await finished;
      t.match(done, { code: 0, stdout: RESPONSE_MARKER }, `who waited is served: ${done.stderr}`);
    }
    t.equal((await sluice.run(AGENTS.shop, curl)).code, 0, 'and who comes then');
    open.endInput();
    t.match(await open.finished, { code: 0, stdout: /echoed second/ }, 'the open flow went on to its end');
    t.equal((await sluice.status()).workers[0]?.pid, worker, 'in the same worker');
    await until('status to be well again', async () => (await sluice.cli(['status'])).code === 0);
    // One echo, the early one, those that waited, and the last.
    // What is lost is known to be after a minute at the most.
    const flows = await sluice.waitForFlows(
      8,
      (f) => [80, RAW_PORTS.echo].includes(f.dst.port ?? 0),
      120_000,
    );
    t.equal(new Set(flows.map((f) => f.id)).size, 8, 'each has one record');
    // The early one gave up: before it was accepted, or after; or it was cut off, and nobody had its report.
    const reasons = flows.map((f) => f.reason);
    t.ok(reasons.filter((reason) => reason === 'ok').length >= 7, reasons.join());
    t.strictSame(
      reasons.filter((reason) => !['ok', 'agent_reset', 'lost', 'not_delivered'].includes(reason)),
      [],
    );
    await capture.assertNoPlaintext([MARKER, RESPONSE_MARKER]);
    await capture.assertAllTls();
    await sluice.uninstall();
  });
}

function lowestFree(taken: readonly number[]): number {
  let number = 0;
  while (taken.includes(number)) number += 1;
  return number;
}

function openDescriptors(pid: number): number[] {
  return readdirSync(`/proc/${pid}/fd`).map(Number);
}

/** As the worker's own user: another one needs CAP_SYS_RESOURCE for it, which root of a container may not have. */
async function prlimit(worker: number, ...options: readonly string[]): Promise<string> {
  const asWorker = ['setpriv', '--reuid=sluice', '--regid=sluice', '--clear-groups', '--'];
  return (await must([...asWorker, 'prlimit', '--pid', String(worker), ...options])).trim();
}

/** User and system time of all its threads; the clock of /proc ticks a hundred times a second (proc_pid_stat(5)). */
function cpuMs(pid: number): number {
  const [, rest = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  const fields = rest.split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

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
  // It is tried again after half a minute at the most.
  await until(
    'the store to be well again',
    async () => {
      await sluice.run(AGENTS.shop, curl);
      return (await sluice.status()).store.ok;
    },
    120_000,
  );
  await capture.assertNoPlaintext([MARKER, RESPONSE_MARKER]);
  await capture.assertAllTls();
});
