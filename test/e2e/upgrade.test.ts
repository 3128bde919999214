/**
 * An upgrade to a version with another ABI, and to one after that, under load: the program is replaced where it is
 * installed and starts anew. No connection is refused, no flow broken, no record lost or written twice, and the capture
 * beyond the host sees no plain text; nor does what agents ask of their name servers get there.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test as Tap } from 'tap';
import { DEFAULT_PIN_DIR } from '#src/api/paths.ts';
import { SLUICE_ABI } from '#src/kernel/layout.ts';
import { pinnedConfig } from '#src/kernel/migrate/stage.ts';
import { until } from '#test/support/command.ts';
import { Dnsmasq } from '#test/support/dnsmasq.ts';
import { FAR, NEAR } from '#test/support/network.ts';
import { patience } from '#test/support/patience.ts';
import { POSTGRES } from '#test/support/postgres.ts';
import { LOAD_MARKERS, type LoadOptions, RestartLoad } from '#test/support/restart-load.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { install } from '#test/support/version.ts';
import { World } from '#test/support/world.ts';
import { worldPolicy } from '#test/support/world-policy.ts';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(1_000_000 * patience);
const DNS_PORT = 53;

interface Upgrade {
  readonly world: World;
  readonly sluice: TestSluice;
  readonly loads: readonly RestartLoad[];
  /** To the next version, and to the one after it; then the load is ended, and asserted to have noticed nothing. */
  run(): Promise<void>;
}

async function prepare(
  t: Tap,
  world: World,
  loads: Readonly<Record<string, LoadOptions>>,
  policy?: string,
): Promise<Upgrade> {
  const place = join(world.dir, 'installed');
  await install('present', place);
  const program = join(place, 'bin/sluice');
  const sluice = await TestSluice.start(world, { program, ...(policy === undefined ? {} : { policy }) });
  const capture = await world.capture();
  const started: RestartLoad[] = [];
  for (const [name, options] of Object.entries(loads))
    started.push(await RestartLoad.start(sluice, name, options));
  const { tier } = await sluice.status();
  const run = async (): Promise<void> => {
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
      t.equal((await sluice.status()).tier, tier, 'with all its layers');
      for (const load of started) await load.ask();
    }
    await RestartLoad.end(t, sluice, ...started);
    await until('the old workers to go', async () => (await sluice.status()).draining.length === 0);
    await capture.assertNoPlaintext(LOAD_MARKERS);
    t.notMatch(sluice.daemon.stderr, /died|NOT ENFORCING/);
  };
  return { world, sluice, loads: started, run };
}

t.test('to the next version, and to the one after it', async (t) => {
  const world = await World.open(['nginx', 'postgres', 'raw']);
  t.teardown(() => world.close());
  const { run } = await prepare(t, world, { upgrade: {} });
  await run();
});

t.test('while names are asked for, here and in another network namespace', async (t) => {
  const world = await World.open(['nginx', 'postgres', 'raw']);
  t.teardown(() => world.close());
  const box = await world.addBox();
  // The policy's resolver has an address of its own: what goes to the one agents have in their resolv.conf has leaked.
  const resolver = '10.198.1.3';
  await world.far.configure([`addr add ${resolver}/24 dev ${FAR.device}`]);
  const dnsmasq = await Dnsmasq.start(world.far, resolver, [
    ...['shop.test', POSTGRES.name].map((name) => `--host-record=${name},${FAR.ipv4}`),
  ]);
  world.beforeClose(() => dnsmasq.stop());
  const names = 'dns' as const;
  const policy = worldPolicy(world).replace(/resolvers: .*/, `resolvers: [${resolver}]`);
  const captured = await world.capture('wire');
  const capturedInBox = await world.capture('box');
  const { run } = await prepare(t, world, { home: { names }, box: { names, inside: box } }, policy);
  const asked = dnsmasq.queries.length;
  await run();
  t.ok(dnsmasq.queries.length > asked, 'names were asked for until the end');
  const froms = new Set(dnsmasq.queries.map((line) => / from (\S+)$/.exec(line)?.[1]));
  t.strictSame([...froms], [NEAR.ipv4], 'by the daemon alone');
  const questions = async (capture: typeof captured): Promise<string[]> =>
    (await capture.packets()).filter(({ dstPort }) => dstPort === DNS_PORT).map(({ dst }) => dst);
  t.strictSame([...new Set(await questions(captured))], [resolver], 'and of nobody else');
  t.strictSame(await questions(capturedInBox), []);
  await capturedInBox.assertNoPlaintext(LOAD_MARKERS);
});
