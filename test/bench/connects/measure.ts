/**
 * What a connection costs by itself, with and without Sluice: for processes that are no agents, for agents (the
 * kernel's part), and for programs that do nothing on the same hooks. Neither proxy nor TLS: that is what the
 * workload `connections` measures.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { addon } from '#src/kernel/addon.ts';
import { must } from '#test/support/command.ts';
import { holdHost } from '#test/support/sluice.ts';
import { pinned } from '../process.ts';
import type { BenchWorld } from '../types.ts';
import { type Attestation, measureAttestation } from './attest.ts';
import { BenchPlane, type Case } from './plane.ts';

export const CASES: readonly Case[] = [
  'none',
  'none again',
  'empty',
  'bystander',
  'bystander, large policy',
  'agent',
];
export const ACTS = ['tcp', 'udp', 'http', 'https'] as const;
export type Act = (typeof ACTS)[number];

/** How much is done at a time: long beside the start of a process, short beside what else the machine does. */
export const COUNTS: Readonly<Record<Act, number>> = {
  tcp: 10_000,
  udp: 30_000,
  http: 5_000,
  https: 400,
};

export interface ConnectsSample {
  readonly act: Act;
  readonly case: Case;
  readonly round: number;
  /** Processor time of one, nanoseconds. */
  readonly ns: number;
}

export interface Connects {
  readonly samples: readonly ConnectsSample[];
  readonly attestation: Attestation;
}

/** An agent has no datagrams but DNS, and what a request of its costs is for the workloads, which have a proxy. */
const applies = (act: Act, name: Case): boolean => act === 'tcp' || name !== 'agent';

interface Built {
  /** Of client.c, which stays on loopback, and of request.c, which asks across the pair. */
  readonly client: string;
  readonly request: string;
  readonly empty: string;
}

async function build(directory: string): Promise<Built> {
  mkdirSync(directory, { recursive: true });
  await must(['make', '--silent', '-C', import.meta.dirname, `OUT=${directory}`]);
  const at = (name: string): string => join(directory, name);
  return { client: at('client'), request: at('request'), empty: at('empty.bpf.o') };
}

/** The command that does it as often as COUNTS says. */
function loadOf(world: BenchWorld, built: Built, act: Act, name: Case): string[] {
  const count = String(COUNTS[act]);
  if (act === 'udp') return [built.client, act, count];
  if (act === 'tcp') return [built.client, act, count, ...(name === 'agent' ? ['3'] : [])];
  const { cert, key } = world.certificate;
  const secured = act === 'https' ? [world.serverName, cert, key, world.caFile] : [];
  return [
    built.request,
    act,
    count,
    `/run/netns/${world.servers.namespace.name}`,
    world.serverIp,
    ...secured,
  ];
}

async function run(
  world: BenchWorld,
  plane: BenchPlane,
  built: Built,
  act: Act,
  name: Case,
): Promise<number> {
  const enter = 'echo 0 >"$0/cgroup.procs" && exec "$@"';
  const [file = '', ...argv] = world.load.namespace.wrap([
    ...['setpriv', '--pdeathsig', 'KILL', '--', ...pinned(world.load.cpu)],
    ...['sh', '-c', enter, plane.cgroupOf(name), ...loadOf(world, built, act, name)],
  ]);
  const child = spawn(file, argv, { stdio: ['ignore', 'pipe', 'inherit', plane.listener] });
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${name}, ${act}: the client ended with ${code}`);
  return Number(text) / COUNTS[act];
}

/** Without TIME_WAIT, of which there would be more than local ports: each case would hinder the next. */
async function withoutTimeWait<T>(world: BenchWorld, work: () => Promise<T>): Promise<T> {
  const sysctl = (...argv: string[]): Promise<string> => must(world.load.namespace.wrap(['sysctl', ...argv]));
  const before = (await sysctl('-n', 'net.ipv4.tcp_max_tw_buckets')).trim();
  await sysctl('-qw', 'net.ipv4.tcp_max_tw_buckets=0');
  try {
    return await work();
  } finally {
    await sysctl('-qw', `net.ipv4.tcp_max_tw_buckets=${before}`);
  }
}

/** All cases in turn, `rounds` times. Nobody else may have Sluice in force meanwhile. */
export async function measureConnects(
  world: BenchWorld,
  rounds: number,
  progress: (text: string) => void,
): Promise<Connects> {
  await holdHost(world.world);
  const built = await build(join(world.directory, 'connects'));
  const inside = world.load.namespace.start(['sh', '-c', 'echo in; exec sleep infinity']);
  await inside.waitFor(({ stdout }) => stdout.includes('in'));
  const netns = addon().openNamespace(inside.pid).fd;
  const plane = new BenchPlane(built.empty, netns);
  const samples: ConnectsSample[] = [];
  try {
    await withoutTimeWait(world, async () => {
      // The first of each is a warm-up.
      for (let round = 0; round <= rounds; round += 1) {
        if (round % 10 === 0) progress(`round ${round} of ${rounds} · connects`);
        for (const name of CASES) {
          plane.enter(name);
          for (const act of ACTS.filter((act) => applies(act, name))) {
            const ns = await run(world, plane, built, act, name);
            if (round > 0) samples.push({ act, case: name, round, ns });
          }
        }
      }
    });
  } finally {
    plane.close();
    addon().closeFd(netns);
    await inside.stop('SIGKILL');
  }
  progress('attestation');
  return { samples, attestation: await measureAttestation() };
}
