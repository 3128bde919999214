/** Metrics of a daemon that works: scraped by TCP and by the API's socket, and read by the strict reader. */
import t from 'tap';
import { until } from '#test/support/command.ts';
import { readExposition } from '#test/support/exposition.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS } from '#test/support/world-policy.ts';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(280_000);
const world = await World.open(['nginx']);
t.teardown(() => world.close());
const PORT = 19_464;
const sluice = await TestSluice.start(world, { args: ['--metrics', `127.0.0.1:${PORT}`] });

const scrape = async (...where: string[]): Promise<string> =>
  (await world.near.run(['curl', '-sSf', '--max-time', '10', ...where])).stdout;

t.test('what agents did is counted, and both ways say the same', async (t) => {
  t.equal((await sluice.run(AGENTS.shop, ['curl', '-sSf', 'http://shop.test/'])).code, 0);
  t.not((await sluice.run(AGENTS.shop, ['curl', '-sSf', '--max-time', '3', 'http://192.0.2.1:1/'])).code, 0);
  const read = await until('both flows', async () => {
    const metrics = readExposition(await scrape(`http://127.0.0.1:${PORT}/metrics`));
    const flows = metrics.get('sluice_flows_total')?.samples;
    return (flows?.get('{disposition="upgraded",reason="ok"}') ?? 0) > 0 && (flows?.size ?? 0) > 1
      ? metrics
      : null;
  });
  const { tier, version } = await sluice.status();
  t.equal(read.get('sluice_enforcing')?.samples.get(''), 1);
  t.equal(read.get('sluice_enforcement_tier')?.samples.get(`{tier="${tier}"}`), 1);
  t.equal(read.get('sluice_build_info')?.samples.get(`{version="${version}"}`), 1);
  const socket = await scrape('--unix-socket', `${sluice.runtimeDir}/api.sock`, 'http://sluice/v1/metrics');
  t.same([...readExposition(socket).keys()], [...read.keys()]);
});
