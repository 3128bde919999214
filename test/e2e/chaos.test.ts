/**
 * Two hundred kills at random, of the daemon, workers and the forwarder, while fifty agents connect without a pause.
 * The capture on the far side, the servers' and the agents' own accounts are the judges: no byte crosses in plain text,
 * each connection that was taken in has exactly one record, and nothing of all that is left.
 *
 *     SLUICE_CHAOS_SEED=N SLUICE_CHAOS_KILLS=N node test/e2e/chaos.test.ts
 */
import { isDeepStrictEqual } from 'node:util';
import t from 'tap';
import {
  BOX_SIZE,
  CROWD_SIZE,
  Crowd,
  Hand,
  MARKER,
  randomOf,
  type Said,
  type Victim,
} from '#test/support/chaos.ts';
import { must, until } from '#test/support/command.ts';
import { POSTGRES } from '#test/support/postgres.ts';
import { RAW_PORTS } from '#test/support/raw-ports.ts';
import { residueOf } from '#test/support/residue.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS } from '#test/support/world-policy.ts';

const KILLS = Number(process.env['SLUICE_CHAOS_KILLS'] ?? 200);
const SEED = Number(process.env['SLUICE_CHAOS_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
/** The last of them leave the daemon alone, so that what it leaks shows in its descriptors. */
const LAST_KILLS = Math.ceil(KILLS / 8);
const WORKERS = 4;
const PAUSE_MS = 300;
const PORTS: Readonly<Record<Said['kind'], number>> = {
  http: 80,
  postgres: POSTGRES.port,
  echo: RAW_PORTS.echo,
  source: RAW_PORTS.source,
  dns: 53,
};

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(590_000);
t.comment(`SLUICE_CHAOS_SEED=${SEED}`);
const random = randomOf(SEED);
const world = await World.open(['nginx', 'postgres', 'raw'], undefined, { sites: ['shop.test'] });
t.teardown(() => world.close());
const box = await world.addBox();
// Ports of ended connections are free at once, and sockets that are counted are those that are open.
for (const netns of [world.near, box])
  await must(netns.wrap(['sysctl', '-qw', 'net.ipv4.tcp_max_tw_buckets=0']));
const crowd = new Crowd(world, box);
const sluice = await TestSluice.start(world, { policy: crowd.policy(), workers: WORKERS });
const captures = [await world.capture('wire'), await world.capture('box')];

function victim(n: number): Victim {
  const at = random();
  if (n >= KILLS - LAST_KILLS) return at < 0.15 ? 'forwarder' : 'worker';
  return at < 0.08 ? 'daemon' : at < 0.16 ? 'forwarder' : 'worker';
}

function counted(items: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
  return [...counts].map(([item, count]) => `${item} ${count}`).join(', ');
}

const kills: Victim[] = [];
let said: Said[] = [];

// Of a daemon that found pins, as all are that come after; a run's directory is made by the first of its name, and stays.
await new Hand(sluice, random).kill('restart');
for (const name of [AGENTS.shop, AGENTS.stock]) await sluice.run(name, ['true']);
await sluice.atRest();
/** What stays: a canary's connection, or a file that is open for a moment, is none of it. */
const before = await until('a residue that stays', async () => {
  const status = await sluice.status();
  const first = await residueOf([world.near, box], status);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  return isDeepStrictEqual(first, await residueOf([world.near, box], status)) && first;
});

t.test(`${KILLS} kills under the load of ${CROWD_SIZE} agents`, async (t) => {
  const hand = new Hand(sluice, random);
  await crowd.start(sluice, String(SEED));
  const restarts = new Set([0.2, 0.4, 0.6, 0.8].map((part) => Math.floor(KILLS * part)));
  try {
    for (let n = 0; n < KILLS; n += 1) {
      await hand.pause(PAUSE_MS);
      if (restarts.has(n)) await hand.kill('restart');
      const next = victim(n);
      await hand.kill(next);
      kills.push(next);
    }
  } finally {
    said = await crowd.stop();
  }
  await sluice.atRest();
  t.equal(said.length, CROWD_SIZE, 'every agent is there to the end');
  t.equal(kills.length, KILLS);
  t.comment(`${counted(kills)}; ${restarts.size} orderly restarts beside them`);
});

t.test('nothing of it crossed in plain text', async (t) => {
  let encrypted = 0;
  for (const capture of captures) {
    await capture.assertNoPlaintext([MARKER, POSTGRES.password]);
    const before = encrypted;
    for (const port of [443, POSTGRES.port, RAW_PORTS.echo, RAW_PORTS.source])
      encrypted += await capture.assertAllTls(port);
    t.ok(encrypted > before + BOX_SIZE, 'from either namespace');
    const others = (await capture.packets()).filter(({ transport, dstPort, srcPort }) => {
      const port = Math.min(dstPort ?? 0, srcPort ?? 0);
      return transport === 'udp'
        ? port !== 53
        : transport === 'tcp' && ![443, 5432, 7005, 7006].includes(port);
    });
    t.strictSame(others, [], 'and nothing went anywhere else');
  }
  t.ok(encrypted > CROWD_SIZE, `${encrypted} conversations were TLS`);
});

t.test('every connection that was taken in has exactly one record', async (t) => {
  const records = sluice.allStored();
  const ofPid = Map.groupBy(records, ({ src }) => src.pid);
  for (const { pid, kind, connects, refused, answered } of said.filter(({ kind }) => kind !== 'dns')) {
    const own = (ofPid.get(pid) ?? []).filter(({ dst }) => dst.port === PORTS[kind]);
    const taken = own.filter(({ technique }) => technique === null);
    t.equal(
      taken.length,
      connects - refused,
      `${kind} ${pid}: ${counted(taken.map(({ reason }) => reason))}`,
    );
    const carried = taken.filter(
      ({ disposition }) => disposition === 'upgraded' || disposition === 'unknown',
    );
    t.ok(carried.length >= answered, `${kind} ${pid} was answered ${answered} times`);
  }
  const dns = said.filter(({ kind }) => kind === 'dns').map(({ pid }) => pid);
  t.ok(records.some(({ src, reason }) => dns.includes(src.pid ?? 0) && reason === 'ok'));

  const served = Map.groupBy(world.nginx.accessLog, ({ request }) =>
    Number(new RegExp(`${MARKER}-(\\d+)-`).exec(request)?.[1]),
  );
  for (const [pid, entries] of served) {
    const carried = (ofPid.get(pid) ?? []).filter(({ disposition }) =>
      ['upgraded', 'unknown'].includes(disposition),
    );
    t.ok(carried.length >= entries.length, `what nginx served ${pid} is on record`);
  }
  t.comment(`records: ${counted(records.map(({ reason }) => reason))}`);
});

t.test('no flow was told twice', async (t) => {
  const byId = new Map(sluice.allStored().map((record) => [record.id, record]));
  const lines = sluice.log;
  t.equal(new Set(lines.map(({ id }) => id)).size, lines.length, 'one line for each id');
  t.strictSame(
    lines.filter(
      (line) => JSON.stringify(byId.get(line.id)) !== JSON.stringify({ ...line, event: undefined }),
    ),
    [],
    'which is what is stored',
  );
  t.comment(`${byId.size} records, ${lines.length} lines`);
});

t.test('nothing is left of it', async (t) => {
  const status = await sluice.status();
  t.match(status.rings, { flow: { lost: 0 }, deny: { lost: 0 } });
  t.match(status.counters, { 'rings.forced': 0, 'kernel.untagged': 0, 'ledger.malformedReports': 0 });
  const { reasons } = await until('nothing to be wrong', async () => {
    const now = await sluice.status();
    return now.reasons.length === 0 && now;
  }).catch(() => sluice.status());
  t.strictSame(reasons, []);
  // What stays is left; what was on its way (a canary's connection, a socket that is being closed) is not.
  let after = before;
  await until('residue to be what it was', async () => {
    after = await residueOf([world.near, box], status);
    return isDeepStrictEqual(after, before);
  }).catch(() => undefined);
  t.strictSame(after, before);
});
