/**
 * More open flows than one port of the proxy has local ports for: fifty thousand at once, each with TLS to a real
 * server, each recorded once, and nothing left of them afterwards.
 *
 * A worker takes two descriptors a flow, so there are as many workers as the host's hard limit asks for: two where it
 * is the kernel's own.
 */
import { readdirSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import t from 'tap';
import { residentBytes } from '#test/bench/accounting.ts';
import { processesFor } from '#test/bench/workloads/idle.ts';
import { must, type Running, until } from '#test/support/command.ts';
import { FAR } from '#test/support/network.ts';
import { entriesOf } from '#test/support/residue.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS } from '#test/support/world-policy.ts';

/** `SLUICE_CROWD` for fewer, or for more. */
const FLOWS = Number(process.env['SLUICE_CROWD'] ?? 50_000);
const CLIENTS = 4;
const CLIENT = new URL('../bench/idle-client.mjs', import.meta.url).pathname;
/** As in docs/benchmarks.md: what a flow may take of the workers' and the daemon's memory. */
const MOST_BYTES_PER_FLOW = 100_000;
const OPENING_LIMIT_MS = 240_000;
/** The worker's way to a server runs out of local ports as well: each address of the server's is good for 28,000. */
const SERVERS = [FAR.ipv4, '10.198.1.3', '10.198.1.4'];

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(600_000);
const processes = Math.max(2, processesFor(FLOWS + FLOWS / 10));
const world = await World.open(['nginx'], undefined, {
  sites: ['shop.test'],
  nginx: { processes: CLIENTS, connections: Math.ceil((FLOWS / CLIENTS) * 1.4) },
});
t.teardown(() => world.close());
await world.far.configure(SERVERS.slice(1).map((ip) => `addr add ${ip}/24 dev ${FAR.device}`));
const sluice = await TestSluice.start(world, {
  workers: processes,
  args: ['--no-log-flows', '--max-flows', String(FLOWS)],
});

const workers = async (): Promise<number[]> =>
  (await sluice.status()).workers.flatMap(({ pid }) => (pid === null ? [] : [pid]));
const descriptorsOf = (pids: readonly number[]): number[] =>
  pids.map((pid) => readdirSync(`/proc/${pid}/fd`).length);

/** Connections the proxy has taken, by the port they came to. */
async function byPort(): Promise<Map<number, number>> {
  const ports = new Set((await sluice.status()).listeners.map(({ port }) => port));
  const counts = new Map([...ports].map((port) => [port, 0]));
  const text = await must(world.near.wrap(['ss', '-Htn', 'state', 'established']));
  for (const [, port] of text.matchAll(/127\.0\.0\.1:(\d+) +127\.0\.0\.1:\d+ *$/gm))
    if (counts.has(Number(port))) counts.set(Number(port), (counts.get(Number(port)) ?? 0) + 1);
  return counts;
}

t.test(`${FLOWS} flows are open at once, and each is recorded`, async (t) => {
  const all = await workers();
  const pids = [...all, sluice.daemon.pid];
  const before = {
    memory: residentBytes(pids),
    descriptors: descriptorsOf(pids),
  };
  const targets = SERVERS.map((ip) => `${ip}:80`);
  const share = FLOWS / CLIENTS;
  const begun = performance.now();
  const clients: Running[] = Array.from({ length: CLIENTS }, () =>
    sluice.start(
      AGENTS.shop,
      ['sh', '-c', 'exec "$0" "$@"', process.execPath, CLIENT, String(share), '/', 'shop.test', ...targets],
      { keepStdin: true },
    ),
  );
  for (const client of clients)
    await client.waitFor(({ stdout }) => stdout.includes(`open ${share}\n`), OPENING_LIMIT_MS);
  t.comment(`opened in ${Math.round((performance.now() - begun) / 1000)} s by ${processes} workers`);

  const held = await until('the workers to count them', async () => {
    const status = await sluice.status();
    return status.workers.reduce((sum, { openFlows }) => sum + openFlows, 0) === FLOWS && status;
  });
  t.match(held, { enforcing: true, reasons: [], ledger: { open: FLOWS, denied: 0, errors: 0 } });
  const ports = await byPort();
  t.equal(
    [...ports.values()].reduce((sum, count) => sum + count, 0),
    FLOWS,
    'all of them are established',
  );
  t.ok(
    [...ports.values()].every((count) => Math.abs(count - FLOWS / ports.size) < FLOWS / ports.size / 10),
    `the ports fill alike: ${[...ports.values()].join(', ')}`,
  );
  const perFlow = (residentBytes(pids) - before.memory) / FLOWS;
  t.ok(perFlow < MOST_BYTES_PER_FLOW, `${Math.round(perFlow)} bytes a flow`);
  const there = await must(world.far.wrap(['ss', '-Htn', 'state', 'established', 'sport', '=', ':443']));
  t.equal(there.trim().split('\n').length, FLOWS, 'the server has each, over TLS');

  for (const client of clients) client.endInput();
  for (const client of clients)
    t.match((await client.finished).stdout, `left ${share}\n`, 'none was lost meanwhile');
  const after = await until(
    'every flow to have its record',
    async () => {
      const status = await sluice.status();
      return (
        status.ledger.open === 0 && status.ledger.allowed >= FLOWS && status.store.rows >= FLOWS && status
      );
    },
    60_000,
  );
  t.match(after.ledger, { allowed: FLOWS, denied: 0, errors: 0, lost: 0 });
  t.match(after.rings, { flow: { lost: 0 } });
  t.match(after.store, { ok: true, dropped: 0 });
  await until('descriptors to be closed', () => {
    const now = descriptorsOf(pids);
    // A file the event loop has open just now is none of a flow's.
    return now.every((count, n) => count <= (before.descriptors[n] ?? 0) + 4);
  });
  // There is a canary at times.
  await until('no tuple to be left', () => entriesOf('sluice_tuples') === 0);
  await until('no tag to be left', () => entriesOf('sluice_tags') === 0);
});

t.test('the records are the flows: agent, process and server of each', async (t) => {
  await sluice.stop();
  const db = new DatabaseSync(`${sluice.stateDir}/flows.db`, { readOnly: true });
  t.teardown(() => db.close());
  const rows = db
    .prepare(
      `SELECT agent, verdict, reason, disposition, count(*) AS flows, count(DISTINCT id) AS ids,
         count(DISTINCT json_extract(record, '$.src.pid')) AS processes,
         count(DISTINCT json_extract(record, '$.src.port') || ' ' || json_extract(record, '$.src.pid')) AS sockets
       FROM flow WHERE dst_port = 80 GROUP BY 1, 2, 3, 4`,
    )
    .all();
  t.equal(rows.length, 1, JSON.stringify(rows));
  t.match(rows[0], {
    agent: AGENTS.shop,
    verdict: 'allow',
    reason: 'ok',
    disposition: 'upgraded',
    flows: FLOWS,
    ids: FLOWS,
    processes: CLIENTS,
  });
});
