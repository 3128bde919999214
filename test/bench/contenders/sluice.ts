/**
 * Sluice as it is run: daemon and workers with identity, policy and flow log on. The load is an agent and asks
 * for the server's own address in plain text; nothing in it knows of a proxy. CPU and memory are those of the
 * daemon and all its workers.
 *
 * There is one Sluice on a host. So it is one to three contenders, by what policy says of who connects: nothing but that it may,
 * rules about statements, or masks.
 */
import { join } from 'node:path';
import { SLUICE, TestSluice } from '#test/support/sluice.ts';
import { pinned } from '../process.ts';
import { HTTPS_PORT, POSTGRES_PORT } from '../servers.ts';
import type { BenchWorld, Contender, ContenderName, RunningContender, Service } from '../types.ts';
import { WIDE_SECRET, WIDE_TABLE } from '../wide-table.ts';

const PLAIN_HTTP_PORT = 80;
const CARRIED = 'bench';
const INSPECTED = 'inspected';
const MASKED = 'masked';

function policy(world: BenchWorld): string {
  const tls = `{ server_name: ${world.serverName}, ca: ${world.caFile}, min_version: "1.3" }`;
  return `version: 1
agents:
${[CARRIED, INSPECTED, MASKED].map((agent) => `  - { name: ${agent}, match: [{ run: ${agent} }] }\n`).join('')}destinations:
  - name: web
    cidrs: [${world.serverIp}]
    ports: [${PLAIN_HTTP_PORT}]
    protocol: http
    port_map: { ${PLAIN_HTTP_PORT}: ${HTTPS_PORT} }
    tls: ${tls}
  - name: database
    cidrs: [${world.serverIp}]
    ports: [${POSTGRES_PORT}]
    protocol: postgres
    tls: ${tls}
rules:
  - name: bench
    agents: [${CARRIED}, ${INSPECTED}, ${MASKED}]
    destinations: [web, database]
    action: allow
operations:
  - name: reads
    agents: [${INSPECTED}]
    destinations: [database]
    effects: [unbounded-write, schema-destruction, code]
    action: observe
masks:
  - name: found
    agents: [${MASKED}]
    destinations: [database]
    detect: [cards, personal, secrets]
  - name: salaries
    agents: [${MASKED}]
    destinations: [database]
    columns: [${WIDE_TABLE}.${WIDE_SECRET}]
`;
}

/** While there are contenders that run on it. */
let shared: { readonly sluice: Promise<TestSluice>; users: number } | null = null;

async function acquire(world: BenchWorld, processes: number): Promise<TestSluice> {
  shared ??= { sluice: startSluice(world, processes), users: 0 };
  shared.users += 1;
  return await shared.sluice;
}

async function release(): Promise<void> {
  if (shared === null) return;
  shared.users -= 1;
  if (shared.users > 0) return;
  const { sluice } = shared;
  shared = null;
  await (await sluice).uninstall();
}

async function startSluice(world: BenchWorld, processes: number): Promise<TestSluice> {
  // Records go to a file, as they would to the journal, and not through a pipe into this process.
  const redirect = ['sh', '-c', 'exec "$@" >"$0"', join(world.directory, 'records.ndjson')];
  return await TestSluice.start(world.world, {
    policy: policy(world),
    workers: processes,
    args: ['--busy-poll', String(world.busyPollUs)],
    wrapper: [...pinned(world.proxies.cpu), ...redirect],
  });
}

async function start(
  world: BenchWorld,
  processes: number,
  name: ContenderName,
  agent: string,
): Promise<RunningContender> {
  const sluice = await acquire(world, processes);
  return {
    name,
    endpoints: (service) => [
      { host: world.serverIp, port: service === 'http' ? PLAIN_HTTP_PORT : POSTGRES_PORT, tls: false },
    ],
    loadCommand: (argv) => [SLUICE, 'run', '--runtime-dir', sluice.runtimeDir, '--as', agent, '--', ...argv],
    pids: [sluice.daemon.pid],
    stop: release,
  };
}

function contender(name: ContenderName, agent: string, services: readonly Service[]): Contender {
  return { name, services, start: (world, processes) => start(world, processes, name, agent) };
}

export const sluice = contender('sluice', CARRIED, ['http', 'postgres']);
export const sluiceInspect = contender('sluice-inspect', INSPECTED, ['postgres']);
export const sluiceMask = contender('sluice-mask', MASKED, ['postgres']);
