/**
 * Two network namespaces joined by a veth pair, and a test CA: proxies and load in the near one, servers in the
 * far one. All contenders meet the same wire. Nothing touches the host's own network.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './process.ts';
import type { World } from './types.ts';

const NAME_PREFIX = 'sluice-bench-';
const NEAR_IP = '10.203.0.1';
const FAR_IP = '10.203.0.2';
const SERVER_NAME = 'server.bench.test';
/** Below the ephemeral range set here, so that no outgoing connection takes a port a proxy listens on. */
const EPHEMERAL_PORTS = '12000 65535';

/** Namespaces of a benchmark that was killed; its pid is in their name. */
function removeStale(): void {
  if (!existsSync('/run/netns')) return;
  for (const name of readdirSync('/run/netns')) {
    const pid = new RegExp(`^${NAME_PREFIX}(\\d+)-(near|far)$`).exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) run(['ip', 'netns', 'delete', name]);
  }
}

/**
 * A CA and one leaf for `SERVER_NAME` and the server's address, P-256 for both: what public CAs hand out today,
 * and a server that signs fast leaves the measuring to the proxies.
 */
function makeCertificates(directory: string): void {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  const at = (name: string): string => join(directory, name);
  run([
    ...['openssl', 'req', '-x509', ...key, '-subj', '/CN=Sluice benchmark CA', '-keyout', at('ca.key')],
    ...['-out', at('ca.pem'), '-addext', 'keyUsage=critical,keyCertSign'],
  ]);
  run([
    ...['openssl', 'req', '-x509', ...key, '-subj', `/CN=${SERVER_NAME}`, '-keyout', at('server.key')],
    ...['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-out', at('server.pem')],
    ...['-addext', `subjectAltName=DNS:${SERVER_NAME},IP:${FAR_IP}`],
    ...['-addext', 'basicConstraints=critical,CA:FALSE'],
  ]);
}

function makeNetwork(near: string, far: string): void {
  // The pair is made inside the near namespace: the host never sees an interface of ours.
  run(['ip', 'netns', 'add', near]);
  run(['ip', 'netns', 'add', far]);
  run(['ip', '-n', near, 'link', 'add', 'near0', 'type', 'veth', 'peer', 'name', 'far0', 'netns', far]);
  for (const [netns, device, address] of [
    [near, 'near0', NEAR_IP],
    [far, 'far0', FAR_IP],
  ] as const) {
    run(['ip', '-n', netns, 'address', 'add', `${address}/30`, 'dev', device]);
    run(['ip', '-n', netns, 'link', 'set', device, 'up']);
    run(['ip', '-n', netns, 'link', 'set', 'lo', 'up']);
    // A connection per request would run out of ports within a minute of TIME_WAIT.
    const sysctl = ['nsenter', `--net=/run/netns/${netns}`, 'sysctl', '-qw'];
    run([...sysctl, `net.ipv4.ip_local_port_range=${EPHEMERAL_PORTS}`, 'net.ipv4.tcp_tw_reuse=1']);
  }
}

export interface OwnedWorld extends World {
  [Symbol.asyncDispose](): Promise<void>;
}

/** Makes the world; on failure what was made is taken down again. Needs root. */
export function makeWorld(signal: AbortSignal): OwnedWorld {
  removeStale();
  const directory = mkdtempSync(join(tmpdir(), NAME_PREFIX));
  const near = `${NAME_PREFIX}${process.pid}-near`;
  const far = `${NAME_PREFIX}${process.pid}-far`;
  const dispose = (): void => {
    for (const name of [near, far]) {
      if (existsSync(`/run/netns/${name}`)) run(['ip', 'netns', 'delete', name]);
    }
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    // Servers drop privileges before they read what lies here.
    run(['chmod', '755', directory]);
    makeCertificates(directory);
    makeNetwork(near, far);
  } catch (error) {
    dispose();
    throw error;
  }
  return {
    near: `/run/netns/${near}`,
    far: `/run/netns/${far}`,
    serverIp: FAR_IP,
    serverName: SERVER_NAME,
    caFile: join(directory, 'ca.pem'),
    directory,
    loadCpu: 0,
    proxyCpu: availableParallelism() > 1 ? 1 : 0,
    signal,
    async [Symbol.asyncDispose]() {
      dispose();
    },
  };
}
