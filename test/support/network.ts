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
export const NEAR = { ipv4: '10.198.1.1', ipv6: 'fd00:198::1', device: 'near0' } as const;
export const FAR = { ipv4: '10.198.1.2', ipv6: 'fd00:198::2', device: 'far0' } as const;
/** Routed to the far side and dropped there without a word: a connection to it can only time out. */
export const SILENT = '10.199.9.9';

export class Namespace {
  readonly name: string;

  constructor(world: string, side: 'near' | 'far') {
    this.name = netnsName(world, side);
  }

  wrap(argv: readonly string[]): string[] {
    return ['nsenter', `--net=/run/netns/${this.name}`, '--', ...argv];
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

export async function makeNetwork(world: string): Promise<Network> {
  const near = new Namespace(world, 'near');
  const far = new Namespace(world, 'far');
  for (const { name } of [near, far]) await must(['ip', 'netns', 'add', name]);
  const steps = [
    `link add ${NEAR.device} netns ${near.name} type veth peer name ${FAR.device} netns ${far.name}`,
  ];
  await must(['ip', '-batch', '-'], { input: `${steps.join('\n')}\n` });
  await configure(near, NEAR, FAR);
  await configure(far, FAR, NEAR);
  return { near, far };
}

async function configure(
  netns: Namespace,
  own: typeof NEAR | typeof FAR,
  peer: typeof NEAR | typeof FAR,
): Promise<void> {
  const steps = [
    'link set lo up',
    // No link-local address: its neighbour and router chatter would only be noise in the captures.
    `link set ${own.device} addrgenmode none`,
    `link set ${own.device} up`,
    `addr add ${own.ipv4}/24 dev ${own.device}`,
    `addr add ${own.ipv6}/64 dev ${own.device} nodad`,
    // So that what is meant for anywhere else shows on the pair as well.
    `route add default via ${peer.ipv4}`,
    `route add default via ${peer.ipv6}`,
  ];
  await must(['ip', '-n', netns.name, '-batch', '-'], { input: `${steps.join('\n')}\n` });
}

/** The hosts file agents see: every test name at the far side, in both families. */
export function writeHosts(path: string, names: readonly string[]): void {
  const lines = ['127.0.0.1 localhost', '::1 localhost'];
  for (const name of names) lines.push(`${FAR.ipv4} ${name}`, `${FAR.ipv6} ${name}`);
  writeFileSync(path, `${lines.join('\n')}\n`);
}
