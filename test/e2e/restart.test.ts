/**
 * Restarts under load: agents connect all the time, a download and a database session last over every one of them, at
 * home and in a network namespace of their own. No connection is refused, no flow broken, no record lost or written
 * twice, and the captures beyond the host see no plain text.
 *
 *     SLUICE_RESTARTS=N node test/e2e/restart.test.ts      # how many the mixed ones are
 */
import t from 'tap';
import { until } from '#test/support/command.ts';
import { LOAD_MARKERS, RestartLoad } from '#test/support/restart-load.ts';
import { underServiceManager } from '#test/support/service-manager.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';

const ROUNDS = 4;
const MIXED = Number(process.env['SLUICE_RESTARTS'] ?? 9);

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(1_000_000 + MIXED * 30_000);

async function restartWorkers(sluice: TestSluice): Promise<void> {
  const done = await sluice.cli(['workers', 'restart'], { timeoutMs: 60_000 });
  if (done.code !== 0) throw new Error(done.stdout + done.stderr);
}

/**
 * Until at most so many workers are drained: those that carry the flows that last. With more than two for each worker the oldest
 * would be cut, and that is who carries them.
 */
function drained(sluice: TestSluice, most: number): Promise<true> {
  return until('old workers to go', async () => (await sluice.status()).draining.length <= most);
}

t.test('the workers, one after the other', async (t) => {
  const world = await World.open(['nginx', 'postgres', 'raw']);
  t.teardown(() => world.close());
  const sluice = await TestSluice.start(world);
  const capture = await world.capture();
  const load = await RestartLoad.start(sluice, 'workers');
  const before = (await sluice.status()).workers.map(({ pid }) => pid);
  for (let round = 0; round < ROUNDS; round += 1) {
    await restartWorkers(sluice);
    await load.ask();
    await drained(sluice, 2);
  }
  const { workers } = await sluice.status();
  t.strictSame(
    workers.map(({ pid }) => pid).filter((pid) => pid === null || before.includes(pid)),
    [],
    'all of them are new',
  );
  const draining = await until('those without flows to go', async () => {
    const left = (await sluice.status()).draining;
    return left.length <= 2 && left;
  });
  t.ok(draining.length >= 1, 'what carries the two long flows is left');
  await RestartLoad.end(t, sluice, load);
  await drained(sluice, 0);
  await capture.assertNoPlaintext(LOAD_MARKERS);
});

t.test('the daemon, in place, by SIGUSR2', async (t) => {
  const world = await World.open(['nginx', 'postgres', 'raw']);
  t.teardown(() => world.close());
  const sluice = await TestSluice.start(world);
  const capture = await world.capture();
  const load = await RestartLoad.start(sluice, 'daemon');
  const { pid } = await sluice.status();
  for (let round = 0; round < ROUNDS; round += 1) {
    t.equal((await sluice.restart('SIGUSR2')).pid, pid, 'it is the same process');
    await load.ask();
    await drained(sluice, 2);
  }
  await RestartLoad.end(t, sluice, load);
  await drained(sluice, 0);
  await capture.assertNoPlaintext(LOAD_MARKERS);
  t.notMatch(sluice.daemon.stderr, /died|NOT ENFORCING/);
});

t.test(`${MIXED} of every kind, with agents in another network namespace too`, async (t) => {
  const world = await World.open(['nginx', 'postgres', 'raw']);
  t.teardown(() => world.close());
  const box = await world.addBox();
  const sluice = await TestSluice.start(world, underServiceManager(world));
  const captures = [await world.capture('wire'), await world.capture('box')];
  const loads = [
    await RestartLoad.start(sluice, 'home'),
    await RestartLoad.start(sluice, 'box', { inside: box }),
  ];
  const home = (await sluice.status()).listeners[0]?.netns;
  const kinds = ['restart', 'workers', 'in place'] as const;
  for (let round = 0; round < MIXED; round += 1) {
    const kind = kinds[round % kinds.length];
    const { pid } = await sluice.status();
    if (kind === 'workers') await restartWorkers(sluice);
    else {
      const after = await sluice.restart(kind === 'restart' ? 'SIGHUP' : 'SIGUSR2');
      t.equal(after.pid === pid, kind === 'in place');
      t.ok(
        after.listeners.some(({ netns }) => netns !== home),
        `${kind}: the next daemon begins with the listeners there`,
      );
    }
    for (const load of loads) await load.ask();
    await drained(sluice, 2);
  }
  await RestartLoad.end(t, sluice, ...loads);
  await drained(sluice, 0);
  for (const capture of captures) await capture.assertNoPlaintext(LOAD_MARKERS);
  t.ok(Number(await captures[1]?.assertAllTls()) > 0, 'what left the namespace was TLS');
  t.notMatch(sluice.daemon.stderr, /died|NOT ENFORCING/);
  await until('the listeners there to be closed with their agents', async () =>
    (await sluice.status()).listeners.every(({ netns }) => netns === home),
  );
});

t.test('to more workers, and to fewer', async (t) => {
  const world = await World.open(['nginx', 'postgres', 'raw']);
  t.teardown(() => world.close());
  const box = await world.addBox();
  const manager = underServiceManager(world);
  const sluice = await TestSluice.start(world, { ...manager, workers: 1 });
  const loads = [await RestartLoad.start(sluice, 'home')];
  for (const workers of [3, 1]) {
    manager.change(`--workers ${workers}`);
    t.equal((await sluice.restart('SIGHUP')).workers.length, workers);
    // Its namespace gets listeners for three, which one has to serve in the end.
    if (workers === 3) loads.push(await RestartLoad.start(sluice, 'box', { inside: box }));
    for (const load of loads) await load.ask();
  }
  await RestartLoad.end(t, sluice, ...loads);
});

t.test('a policy the next program would not take is no reason to end', async (t) => {
  const world = await World.open(['nginx']);
  t.teardown(() => world.close());
  const sluice = await TestSluice.start(world);
  const { startedAt } = await sluice.status();
  sluice.writePolicy('version: 1\nnonsense: true\n');
  sluice.kill('SIGUSR2');
  await sluice.daemon.waitFor((r) => r.stderr.includes('no restart'));
  t.equal((await sluice.status()).startedAt, startedAt);
});
