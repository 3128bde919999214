/**
 * The test world without its servers: two namespaces joined by a veth pair and a CA. Proxies and load are in the
 * near one, servers in the far one, so that all contenders meet the same wire and the host's network is not touched.
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { must } from '#test/support/command.ts';
import { FAR } from '#test/support/network.ts';
import { World } from '#test/support/world.ts';
import type { BenchWorld, Effort, Placement } from './types.ts';

const SERVER_NAME = 'server.test';
/** Ports that proxies listen on lie below, so that no outgoing connection takes one of them first. */
const EPHEMERAL_PORTS = '12000 65535';

/** Opens the world; the caller closes `world.world`, and Ctrl-C is taken care of. Needs root. */
export async function openBenchWorld({
  busyPollUs,
  placement,
}: Pick<Effort, 'busyPollUs' | 'placement'>): Promise<BenchWorld> {
  const world = await World.open([]);
  for (const namespace of [world.near, world.far]) {
    // A connection per request would run out of ports within a minute of TIME_WAIT.
    const settings = [`net.ipv4.ip_local_port_range=${EPHEMERAL_PORTS}`, 'net.ipv4.tcp_tw_reuse=1'];
    await must(namespace.wrap(['sysctl', '-qw', ...settings]));
  }
  return {
    world,
    serverIp: FAR.ipv4,
    serverName: SERVER_NAME,
    certificate: await world.pki.issue(SERVER_NAME, { names: [SERVER_NAME, FAR.ipv4] }),
    caFile: world.pki.ca,
    busyPollUs,
    directory: join(world.dir),
    load: { namespace: world.near, cpu: placement === 'free' ? null : 0 },
    servers: { namespace: world.far, cpu: placement === 'free' ? null : 0 },
    proxies: { namespace: world.near, cpu: processorOfProxies(placement) },
  };
}

function processorOfProxies(placement: Placement): number | null {
  if (placement === 'free') return null;
  return placement === 'apart' && availableParallelism() > 1 ? 1 : 0;
}
