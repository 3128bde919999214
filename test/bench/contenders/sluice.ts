/**
 * Sluice as it is run: daemon and workers with identity, policy and flow log on. The load is an agent and asks
 * for the server's own address in plain text; nothing in it knows of a proxy. CPU and memory are those of the
 * daemon and all its workers.
 */
import { join } from 'node:path';
import { SLUICE, TestSluice } from '#test/support/sluice.ts';
import { HTTPS_PORT, POSTGRES_PORT } from '../servers.ts';
import type { BenchWorld, Contender, RunningContender } from '../types.ts';

const AGENT = 'bench';
const PLAIN_HTTP_PORT = 80;

function policy(world: BenchWorld): string {
  const tls = `{ server_name: ${world.serverName}, ca: ${world.caFile}, min_version: "1.3" }`;
  return `version: 1
agents:
  - name: ${AGENT}
    match: [{ run: ${AGENT} }]
destinations:
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
    agents: [${AGENT}]
    destinations: [web, database]
    action: allow
`;
}

async function start(world: BenchWorld, processes: number): Promise<RunningContender> {
  const pin = ['taskset', '-c', String(world.proxies.cpu)];
  // Records go to a file, as they would to the journal, and not through a pipe into this process.
  const redirect = ['sh', '-c', 'exec "$@" >"$0"', join(world.directory, 'records.ndjson')];
  const sluice = await TestSluice.start(world.world, {
    policy: policy(world),
    workers: processes,
    wrapper: [...pin, ...redirect],
  });
  return {
    name: 'sluice',
    endpoints: (service) => [
      { host: world.serverIp, port: service === 'http' ? PLAIN_HTTP_PORT : POSTGRES_PORT, tls: false },
    ],
    loadCommand: (argv) => [SLUICE, 'run', '--runtime-dir', sluice.runtimeDir, '--as', AGENT, '--', ...argv],
    pids: [sluice.daemon.pid],
    stop: () => sluice.uninstall(),
  };
}

export const sluice: Contender = { name: 'sluice', services: ['http', 'postgres'], start };
