/** The crowd of the chaos test, and what hurts Sluice while the crowd is at work. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findCgroup2, removeCgroup } from '#src/kernel/cgroup.ts';
import { type Running, until } from './command.ts';
import { FAR, type Namespace } from './network.ts';
import { PYTHON } from './python.ts';
import { type Child, childrenOf } from './residue.ts';
import type { TestSluice } from './sluice.ts';
import type { World } from './world.ts';
import { AGENTS, worldPolicy } from './world-policy.ts';

export const MARKER = 'CHAOS-MARKER-9c3e';
/** Nobody's on any host. */
const UID = 61_235;

/** What one agent says at its end. */
export interface Said {
  readonly pid: number;
  readonly kind: 'http' | 'postgres' | 'echo' | 'source' | 'dns';
  readonly connects: number;
  /** Of those by EPERM. */
  readonly refused: number;
  readonly answered: number;
  readonly errors: Readonly<Record<string, number>>;
}

const CROWD = [
  { how: 'run', as: AGENTS.shop, kind: 'http', count: 5, host: FAR.ipv4 },
  { how: 'run', as: AGENTS.shop, kind: 'echo', count: 4, host: FAR.ipv4 },
  { how: 'run', as: AGENTS.stock, kind: 'postgres', count: 6, host: FAR.ipv4 },
  { how: 'cgroup', kind: 'http', count: 6, host: FAR.ipv6 },
  { how: 'cgroup', kind: 'source', count: 4, host: FAR.ipv4 },
  { how: 'cgroup', kind: 'dns', count: 3, host: FAR.ipv4 },
  { how: 'uid', kind: 'http', count: 6, host: FAR.ipv4 },
  { how: 'uid', kind: 'postgres', count: 4, host: FAR.ipv6 },
  { how: 'uid', kind: 'echo', count: 4, host: FAR.ipv6 },
  { how: 'box', as: AGENTS.shop, kind: 'http', count: 4, host: FAR.ipv4 },
  { how: 'box', as: AGENTS.stock, kind: 'echo', count: 3, host: FAR.ipv6 },
  { how: 'box', as: AGENTS.shop, kind: 'dns', count: 1, host: FAR.ipv4 },
] as const;
const sizeOf = (groups: readonly { readonly count: number }[]): number =>
  groups.reduce((sum, { count }) => sum + count, 0);
export const CROWD_SIZE = sizeOf(CROWD);
/** Of those the ones in a network namespace of their own. */
export const BOX_SIZE = sizeOf(CROWD.filter(({ how }) => how === 'box'));

/** Fifty agents, enrolled in three ways and in two network namespaces, which connect until they are told to stop. */
export class Crowd {
  readonly #world: World;
  readonly #box: Namespace;
  readonly #cgroup = `/sluice-chaos-${process.pid}`;
  readonly #stop: string;
  readonly #groups: Running[] = [];

  constructor(world: World, box: Namespace) {
    this.#world = world;
    this.#box = box;
    this.#stop = join(world.dir, 'stop');
    mkdirSync(this.#directory, { recursive: true });
    world.beforeClose(async () => {
      await until('the cgroup of the crowd to be empty', () => removeCgroup(this.#directory));
    });
  }

  get #directory(): string {
    return `${findCgroup2()}${this.#cgroup}`;
  }

  /** That of the world, where the first agent is found by cgroup and user id as well. */
  policy(): string {
    const matches = `{ run: ${AGENTS.shop} }, { cgroup: ${this.#cgroup} }, { uid: ${UID} }`;
    return worldPolicy(this.#world).replace(`match: [{ run: ${AGENTS.shop} }]`, `match: [${matches}]`);
  }

  /** Resolves when all of them are at work. */
  async start(sluice: TestSluice, seed: string): Promise<void> {
    const program = readFileSync(join(import.meta.dirname, 'programs/chaos-agents.py'), 'utf8');
    for (const [n, group] of CROWD.entries()) {
      const { kind, count, host } = group;
      const args = [kind, String(count), this.#stop, MARKER, host, `${seed}-${n}`];
      const argv = [PYTHON, '-c', program, ...args];
      if (group.how === 'run') this.#groups.push(sluice.start(group.as, argv));
      else if (group.how === 'box') this.#groups.push(sluice.start(group.as, this.#box.wrap(argv)));
      else this.#groups.push(this.#start(group.how, argv));
    }
    const up = this.#groups.map((running, n) =>
      running.waitFor((r) => r.stdout.split('up\n').length - 1 === CROWD[n]?.count, 60_000),
    );
    await Promise.all(up);
  }

  #start(how: 'cgroup' | 'uid', argv: readonly string[]): Running {
    if (how === 'uid')
      return this.#world.near.start(['setpriv', `--reuid=${UID}`, '--clear-groups', '--', ...argv]);
    const enter = 'echo 0 > "$0/cgroup.procs" && exec "$@"';
    return this.#world.near.start(['sh', '-c', enter, this.#directory, ...argv]);
  }

  /** Tells them to stop and gathers what each has to say. */
  async stop(): Promise<Said[]> {
    writeFileSync(this.#stop, '');
    const finished = await Promise.all(this.#groups.map((group) => group.finished));
    const lines = finished.flatMap(({ stdout, stderr, code }) => {
      if (code !== 0) throw new Error(`a group of agents ended with ${code}: ${stderr}`);
      return stdout.split('\n').filter((line) => line.startsWith('{'));
    });
    return lines.map((line) => JSON.parse(line) as Said);
  }
}

/** mulberry32: the same numbers for the same seed, on every machine. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export type Victim = 'daemon' | 'worker' | 'forwarder' | 'restart';

/** Kills, one at a time, and starts what has to be started again, as systemd would. */
export class Hand {
  readonly #sluice: TestSluice;
  readonly #random: () => number;
  #daemon = 0;

  constructor(sluice: TestSluice, random: () => number) {
    this.#sluice = sluice;
    this.#random = random;
  }

  async kill(victim: Victim): Promise<void> {
    if (victim === 'worker' || victim === 'forwarder') {
      const pid = await this.#one(victim);
      process.kill(pid, 'SIGKILL');
      return;
    }
    await this.#sluice.stop(victim === 'restart' ? 'SIGTERM' : 'SIGKILL');
    this.#daemon = 0;
    await this.pause(150);
    await this.#sluice.startDaemon();
  }

  /** Somewhere between nothing and that long. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms * this.#random()));
  }

  async #one(kind: Child['kind']): Promise<number> {
    if (this.#daemon === 0) this.#daemon = (await this.#sluice.status()).pid;
    const found = await until(`a ${kind}`, () => {
      const all = childrenOf(this.#daemon).filter((child) => child.kind === kind);
      return all.length > 0 && all;
    });
    return found[Math.floor(this.#random() * found.length)]?.pid ?? 0;
  }
}
