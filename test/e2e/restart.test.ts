/**
 * Restarts under load: agents connect all the time, a download and a database session last over every one of them. No
 * connection is refused, no flow broken, no record lost or written twice, and the capture beyond the host sees no plain
 * text.
 */
import t from 'tap';
import { until } from '#test/support/command.ts';
import { LOAD_MARKERS, RestartLoad } from '#test/support/restart-load.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';

const ROUNDS = 6;

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(280_000);

t.test('the workers, one after the other', async (t) => {
  const world = await World.open(['nginx', 'postgres', 'raw']);
  t.teardown(() => world.close());
  const sluice = await TestSluice.start(world);
  const capture = await world.capture();
  const load = await RestartLoad.start(sluice, 'workers');
  const before = (await sluice.status()).workers.map(({ pid }) => pid);
  for (let round = 0; round < ROUNDS; round += 1) {
    const done = await sluice.cli(['workers', 'restart'], { timeoutMs: 60_000 });
    t.equal(done.code, 0, done.stdout + done.stderr);
    await load.ask();
  }
  const { workers, draining } = await sluice.status();
  t.strictSame(
    workers.map(({ pid }) => pid).filter((pid) => pid === null || before.includes(pid)),
    [],
    'all of them are new',
  );
  t.ok(draining.length >= 1 && draining.length <= 2, 'what carries the two long flows is left');
  await load.end(t);
  await until('the old workers to go', async () => (await sluice.status()).draining.length === 0);
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
    const before = (await sluice.status()).startedAt;
    sluice.kill('SIGUSR2');
    const after = await until(
      'the next daemon',
      async () => {
        sluice.daemon.assertAlive();
        const status = await sluice.status().catch(() => null);
        return status !== null && status.startedAt !== before && status.enforcing && status;
      },
      30_000,
    );
    t.equal(after.pid, pid, 'it is the same process');
    await load.ask();
  }
  await load.end(t);
  await until('the old workers to go', async () => (await sluice.status()).draining.length === 0);
  await capture.assertNoPlaintext(LOAD_MARKERS);
  t.notMatch(sluice.daemon.stderr, /died|NOT ENFORCING/);
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
