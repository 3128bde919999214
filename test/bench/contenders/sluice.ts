/**
 * Sluice as it is run: daemon and workers with identity, policy and flow log on. The load is an agent and asks
 * for the server's own address in plain text; nothing in it knows of a proxy. CPU and memory are those of the
 * daemon and all its workers.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sluiceMark } from '#test/support/leftovers.ts';
import { runPlaced, startPlaced } from '../process.ts';
import { HTTPS_PORT, POSTGRES_PORT } from '../servers.ts';
import type { BenchWorld, Contender, RunningContender } from '../types.ts';

const PROGRAM = fileURLToPath(new URL('../../../bin/sluice', import.meta.url));
const AGENT = 'bench';
const PLAIN_HTTP_PORT = 80;

function policy(world: BenchWorld): string {
  return `version: 1
agents:
  - name: ${AGENT}
    run: ${AGENT}
destinations:
  - name: web
    addresses: [${world.serverIp}/32]
    ports: [${PLAIN_HTTP_PORT}]
    protocol: http
    port_map: { ${PLAIN_HTTP_PORT}: ${HTTPS_PORT} }
    tls: { server_name: ${world.serverName}, ca: ${world.caFile}, min_version: TLSv1.3 }
  - name: database
    addresses: [${world.serverIp}/32]
    ports: [${POSTGRES_PORT}]
    protocol: postgres
    tls: { server_name: ${world.serverName}, ca: ${world.caFile}, min_version: TLSv1.3 }
rules:
  - name: bench
    agents: [${AGENT}]
    destinations: [web, database]
    action: allow
`;
}

async function start(world: BenchWorld, processes: number): Promise<RunningContender> {
  const home = join(world.directory, 'sluice');
  const [runtime, state, file] = [join(home, 'run'), join(home, 'state'), join(home, 'policy.yaml')];
  mkdirSync(home, { recursive: true });
  writeFileSync(file, policy(world));
  // What makes the world uninstall it when it closes, however it closes.
  writeFileSync(sluiceMark(world.world.name), '');
  const where = ['--runtime-dir', runtime];
  const argv = [
    ...[PROGRAM, 'daemon', '--policy', file, ...where, '--state-dir', state],
    ...['--workers', String(processes)],
  ];
  // Records go to a file, as they would to the journal, and not through a pipe into this process.
  const redirect = ['sh', '-c', 'exec "$@" >"$0"', join(home, 'records.ndjson')];
  const daemon = startPlaced(world.proxies, [...redirect, ...argv]);
  try {
    await runPlaced(world.proxies, [PROGRAM, 'status', '--wait', ...where]);
  } catch (error) {
    await daemon.stop();
    throw new Error(`the daemon did not come up:\n${daemon.stderr}`, { cause: error });
  }
  return {
    name: 'sluice',
    endpoints: (service) => [
      { host: world.serverIp, port: service === 'http' ? PLAIN_HTTP_PORT : POSTGRES_PORT, tls: false },
    ],
    loadCommand: (load) => [PROGRAM, 'run', '--as', AGENT, ...where, '--', ...load],
    pids: [daemon.pid],
    async stop() {
      await daemon.stop();
    },
  };
}

export const sluice: Contender = { name: 'sluice', services: ['http', 'postgres'], start };
