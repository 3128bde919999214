/** Metrics of a daemon that works: scraped by TCP and by the API's socket, and read by the strict reader. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { until } from '#test/support/command.ts';
import { readExposition } from '#test/support/exposition.ts';
import { PYTHON } from '#test/support/python.ts';
import { underServiceManager } from '#test/support/service-manager.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS } from '#test/support/world-policy.ts';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(280_000);
const world = await World.open(['nginx']);
t.teardown(() => world.close());
const PORT = 19_464;
const sluice = await TestSluice.start(world, {
  ...underServiceManager(world),
  args: ['--metrics', `127.0.0.1:${PORT}`],
});

const scrape = async (...where: string[]): Promise<string> =>
  (await world.near.run(['curl', '-sSf', '--max-time', '10', ...where])).stdout;

t.test('a restart refuses no scrape: it waits for the next daemon', async (t) => {
  const over = join(world.dir, 'scraped-enough');
  const script = `
import collections, http.client, os, time
seen = collections.Counter()
while not os.path.exists("${over}"):
    try:
        c = http.client.HTTPConnection("127.0.0.1", ${PORT}, timeout=60)
        c.request("GET", "/metrics")
        r = c.getresponse()
        seen["ok" if b"sluice_enforcing 1" in r.read() else r.status] += 1
        c.close()
    except Exception as error: seen[repr(error)] += 1
    if sum(seen.values()) == 1: print("scraping", flush=True)
    time.sleep(0.01)
print(sorted(seen), flush=True)`;
  const scraper = world.near.start([PYTHON, '-c', script]);
  await scraper.waitFor((r) => r.stdout.includes('scraping'));
  for (const signal of ['SIGUSR2', 'SIGHUP', 'SIGUSR2'] as const) await sluice.restart(signal);
  writeFileSync(over, '');
  t.equal((await scraper.finished).stdout, "scraping\n['ok']\n");
});

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
