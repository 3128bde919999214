/**
 * An upgrade to a version with another ABI, and to one after that, under load: the program is replaced where it is
 * installed and starts anew. No connection is refused, no flow broken, no record lost or written twice, and the capture
 * beyond the host sees no plain text.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { DEFAULT_PIN_DIR } from '#src/api/paths.ts';
import { SLUICE_ABI } from '#src/kernel/layout.ts';
import { pinnedConfig } from '#src/kernel/migrate/stage.ts';
import { until } from '#test/support/command.ts';
import { LOAD_MARKERS, RestartLoad } from '#test/support/restart-load.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { install } from '#test/support/version.ts';
import { World } from '#test/support/world.ts';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(280_000);

t.test('to the next version, and to the one after it', async (t) => {
  const world = await World.open(['nginx', 'postgres', 'raw']);
  t.teardown(() => world.close());
  const place = join(world.dir, 'installed');
  await install('present', place);
  const sluice = await TestSluice.start(world, { program: join(place, 'bin/sluice') });
  const capture = await world.capture();
  const load = await RestartLoad.start(sluice, 'upgrade');
  for (const [n, version] of (['next', 'newer'] as const).entries()) {
    await install(version, place);
    const before = (await sluice.status()).startedAt;
    sluice.kill('SIGUSR2');
    await until(
      `the ${version} version`,
      async () => {
        sluice.daemon.assertAlive();
        const status = await sluice.status().catch(() => null);
        return status !== null && status.startedAt !== before && status.enforcing;
      },
      60_000,
    );
    t.match(pinnedConfig(join(DEFAULT_PIN_DIR, 'maps')), { abi: SLUICE_ABI + n + 1 });
    t.strictSame(readdirSync(DEFAULT_PIN_DIR).sort(), ['links', 'maps']);
    await load.ask();
  }
  await RestartLoad.end(t, sluice, load);
  await until('the old workers to go', async () => (await sluice.status()).draining.length === 0);
  await capture.assertNoPlaintext(LOAD_MARKERS);
  t.notMatch(sluice.daemon.stderr, /died|NOT ENFORCING/);
});
