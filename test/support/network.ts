/**
 * Two network namespaces joined by a veth pair: `near` is the host whose agents are governed, `far` is
 * everybody else's network. What crosses the pair is what left the host.
 *
 * Commands go in by `nsenter --net`, not by `ip netns exec`: the latter mounts a fresh /sys, and the cgroup and
 * bpf file systems are gone from sight.
 */
import { writeFileSync } from 'node:fs';
import { type CommandOptions, type Finished, must, Running, run } from './command.ts';
import { netnsName } from './leftovers.ts';

/** The same in every world: nothing outside the two namespaces ever sees them. */
export const NEAR = {
  ipv4: '10.198.1.1',
  ipv6: 'fd00:198::1',
  device: 'near0',
  mac: '02:00:00:00:c6:01',
} as const;
export const FAR = {
  ipv4: '10.198.1.2',
  ipv6: 'fd00:198::2',
  device: 'far0',
  mac: '02:00:00:00:c6:02',
} as const;
/**
 * A network namespace of its own beside `near`, as a container has: `box` with a pair of its own to `far`, so that
 * what leaves it does not cross `near`.
 */
export const BOX = {
  ipv4: '10.197.1.1',
  ipv6: 'fd00:197::1',
  device: 'box0',
  mac: '02:00:00:00:c5:01',
} as const;
export const BOX_GATEWAY = {
  ipv4: '10.197.1.2',
  ipv6: 'fd00:197::2',
  device: 'far1',
  mac: '02:00:00:00:c5:02',
} as const;

/** Routed to the far side and dropped there without a word: a connection to it can only time out. */
export const SILENT = '10.199.9.9';

export class Namespace {
  /** Null: the namespace this process is in. */
  readonly name: string | null;

  constructor(name: string | null) {
    this.name = name;
  }

  wrap(argv: readonly string[]): string[] {
    return this.name === null ? [...argv] : ['nsenter', `--net=/run/netns/${this.name}`, '--', ...argv];
  }

  /** ip(8), told by lines of a batch. */
  async configure(steps: readonly string[]): Promise<void> {
    const where = this.name === null ? [] : ['-n', this.name];
    await must(['ip', ...where, '-batch', '-'], { input: `${steps.join('\n')}\n` });
  }

  run(argv: readonly string[], options?: CommandOptions): Promise<Finished> {
    return run(this.wrap(argv), options);
  }

  start(argv: readonly string[], options?: CommandOptions & { readonly keepStdin?: boolean }): Running {
    return new Running(this.wrap(argv), options);
  }
}

export interface Network {
  readonly near: Namespace;
  readonly far: Namespace;
}

/**
 * `namespace` (the default): a network namespace for each side. `host`: the near side is the host itself, services and
 * all; only for a guest that has no network of its own.
 */
export type NearSide = 'namespace' | 'host';

export async function makeNetwork(world: string, nearSide: NearSide = 'namespace'): Promise<Network> {
  const farName = netnsName(world, 'far');
  const nearName = nearSide === 'host' ? null : netnsName(world, 'near');
  if (nearName === null) await refuseConnectedHost();
  else await must(['ip', 'netns', 'add', nearName]);
  await must(['ip', 'netns', 'add', farName]);
  const near = new Namespace(nearName);
  const far = new Namespace(farName);
  const peer = `peer name ${FAR.device} address ${FAR.mac} netns ${farName}`;
  await near.configure([`link add ${NEAR.device} address ${NEAR.mac} type veth ${peer}`]);
  await configure(near, NEAR, FAR);
  await configure(far, FAR, NEAR);
  return { near, far };
}

async function refuseConnectedHost(): Promise<void> {
  const devices = (await must(['ip', '-oneline', 'link'])).trim().split('\n');
  const others = devices.filter((line) => !/^\d+: lo:/.test(line));
  if (others.length > 0)
    throw new Error(
      `this host has a network of its own, which a test must not change:\n${others.join('\n')}`,
    );
}

/** The box of a world, whose `far` must be there; `ip netns del` takes it away with its pair. */
export async function makeBox(world: string, far: Namespace): Promise<Namespace> {
  const name = netnsName(world, 'box');
  await must(['ip', 'netns', 'add', name]);
  await joinBox(`/run/netns/${name}`, far);
  return new Namespace(name);
}

/** Joins a namespace, by the path of its file, to `far` as the box is. */
export async function joinBox(netns: string, far: Namespace): Promise<void> {
  const { device, ipv4, ipv6 } = BOX_GATEWAY;
  const peer = `peer name ${device} address ${BOX_GATEWAY.mac} netns ${far.name}`;
  const link = `link add ${BOX.device} address ${BOX.mac} netns ${netns} type veth ${peer}`;
  await must(['ip', '-batch', '-'], { input: `${link}\n` });
  const inside = interfaceSteps(BOX, BOX_GATEWAY).join('\n');
  await must(['nsenter', `--net=${netns}`, 'ip', '-batch', '-'], { input: `${inside}\n` });
  await far.configure([
    `link set ${device} addrgenmode none`,
    `link set ${device} up`,
    `addr add ${ipv4}/24 dev ${device}`,
    `addr add ${ipv6}/64 dev ${device} nodad`,
    // Servers answer from the other pair's address. Without a link-local one here the kernel has none to ask for a
    // neighbour with, and once it has forgotten who the box is, nothing reaches it over IPv6.
    `neigh replace ${BOX.ipv6} lladdr ${BOX.mac} dev ${device} nud permanent`,
  ]);
}

interface End {
  readonly ipv4: string;
  readonly ipv6: string;
  readonly device: string;
  readonly mac: string;
}

async function configure(netns: Namespace, own: End, peer: End): Promise<void> {
  await netns.configure(interfaceSteps(own, peer));
}

function interfaceSteps(own: End, peer: End): string[] {
  return [
    'link set lo up',
    // No link-local address: its neighbour and router chatter would only be noise in the captures.
    `link set ${own.device} addrgenmode none`,
    `link set ${own.device} up`,
    `addr add ${own.ipv4}/24 dev ${own.device}`,
    `addr add ${own.ipv6}/64 dev ${own.device} nodad`,
    // Nobody asks who the other end is, some time after he has last heard of it: that would be packets of nobody's.
    `neigh replace ${peer.ipv4} lladdr ${peer.mac} dev ${own.device} nud permanent`,
    `neigh replace ${peer.ipv6} lladdr ${peer.mac} dev ${own.device} nud permanent`,
    // So that what is meant for anywhere else shows on the pair as well.
    `route add default via ${peer.ipv4}`,
    `route add default via ${peer.ipv6}`,
  ];
}

/** The hosts file agents see: every test name at the far side, in both families. */
export function writeHosts(path: string, names: readonly string[]): void {
  const lines = ['127.0.0.1 localhost', '::1 localhost'];
  for (const name of names) lines.push(`${FAR.ipv4} ${name}`, `${FAR.ipv6} ${name}`);
  writeFileSync(path, `${lines.join('\n')}\n`);
}
