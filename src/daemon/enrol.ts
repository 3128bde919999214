/**
 * `sluice enrol`: makes processes that run already agents, with all they have started.
 *
 * First the processes: each is tagged, then those it has started are looked for again, until there are no new ones;
 * whatever is started after that is born an agent. Then, if asked, their sockets: what is connected is ended, and what
 * is left is taken in, so that the kernel drops what it sends even where the connection could not be ended.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import type { Enrolled, EnrolledSocket, EnrolRequest } from '../api/types.ts';
import { SluiceError } from '../core/errors.ts';
import { parseSystemdPlace } from '../identity/systemd/unit.ts';
import type { KernelProcess, OpenSocket } from '../kernel/processes.ts';
import { exeOf, isInternet } from './agents.ts';

/** Each finds what was started while the one before was looked at. */
const MAX_ROUNDS = 64;
const MAX_SOCKETS_TOLD = 1_000;
/** Directories of the hierarchy that are looked at for a unit. */
const MAX_DIRECTORIES = 20_000;

export interface EnrolTargets {
  readonly list: () => readonly KernelProcess[];
  readonly tag: (process: KernelProcess, agentId: number) => void;
  readonly untag: (pid: number) => void;
  readonly sockets: (pid: number) => readonly OpenSocket[];
  readonly takeInSockets: (pid: number) => readonly OpenSocket[];
  readonly disconnect: (pid: number, fd: number, cookie: bigint) => unknown;
  /** Null for a name that is no agent of the policy. */
  readonly agentId: (name: string) => number | null;
  readonly agentName: (id: number) => string | null;
  readonly unknownAgentId: number;
  /** Mount point of the hierarchy, and the daemon's own place in it. */
  readonly cgroupRoot: string;
  readonly selfCgroupId: bigint;
}

function refuse(message: string, hint: string): never {
  throw new SluiceError('CONFIG', message, { hint });
}

/** Directories of the unit's cgroups: one, unless user managers have a unit of that name as well, which do not count. */
export function unitDirectories(root: string, unit: string): string[] {
  const found: string[] = [];
  const queue = ['/'];
  for (let next = 0; next < queue.length && queue.length < MAX_DIRECTORIES; next += 1) {
    const path = queue[next] ?? '/';
    const place = path === '/' ? null : parseSystemdPlace(path);
    const isIt = place !== null && place.user === null && (place.unit ?? place.slice) === unit;
    if (isIt && !found.some((above) => `${root}${path}`.startsWith(`${above}/`)))
      found.push(`${root}${path}`);
    // What is below a unit is its own business.
    if (isIt || (place !== null && place.unit !== null)) continue;
    try {
      for (const entry of readdirSync(`${root}${path}`, { withFileTypes: true }))
        if (entry.isDirectory()) queue.push(path === '/' ? `/${entry.name}` : `${path}/${entry.name}`);
    } catch {
      // Removed while we looked.
    }
  }
  return found;
}

function pidsIn(directory: string): number[] {
  try {
    const own = readFileSync(`${directory}/cgroup.procs`, 'latin1').split('\n').filter(Boolean).map(Number);
    const below = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    return [...own, ...below.flatMap(({ name }) => pidsIn(`${directory}/${name}`))];
  } catch {
    return [];
  }
}

/** What names the processes that are meant, asked anew in each round. */
function rootsOf(target: string, cgroupRoot: string): () => number[] {
  if (/^\d{1,10}$/.test(target)) {
    const pid = Number(target);
    if (pid === 1) refuse('process 1 has started every other', 'enrol the units that are meant');
    return () => [pid];
  }
  const directories = unitDirectories(cgroupRoot, target);
  if (directories.length === 0 || !directories.some(existsSync))
    refuse(`no unit ${target} runs`, 'give a pid, or a unit as `systemctl status` shows it: billing.service');
  return () => directories.flatMap(pidsIn);
}

/** The roots and whoever has one of them among its ancestors. */
function withDescendants(roots: readonly number[], all: readonly KernelProcess[]): KernelProcess[] {
  const wanted = new Set(roots);
  const children = new Map<number, KernelProcess[]>();
  for (const process of all) children.set(process.parent, [...(children.get(process.parent) ?? []), process]);
  const members = all.filter(({ pid }) => wanted.has(pid));
  for (const member of members)
    for (const child of children.get(member.pid) ?? [])
      if (!wanted.has(child.pid)) {
        wanted.add(child.pid);
        members.push(child);
      }
  return members;
}

const FAMILIES: Readonly<Record<number, string>> = {
  1: 'unix',
  16: 'netlink',
  17: 'packet',
  29: 'can',
  31: 'bluetooth',
  38: 'alg',
  40: 'vsock',
  44: 'xdp',
};
const PROTOCOLS: Readonly<Record<number, string>> = {
  1: 'icmp',
  6: 'tcp',
  17: 'udp',
  58: 'icmpv6',
  132: 'sctp',
  136: 'udplite',
  262: 'mptcp',
};
const SOCK_RAW = 3;

export function kindOf(socket: OpenSocket): string {
  if (!isInternet(socket)) return FAMILIES[socket.family] ?? `family ${socket.family}`;
  if (socket.type === SOCK_RAW) return 'raw';
  return PROTOCOLS[socket.protocol] ?? `protocol ${socket.protocol}`;
}

export class Enroller {
  readonly #targets: EnrolTargets;

  constructor(targets: EnrolTargets) {
    this.#targets = targets;
  }

  /** @throws SluiceError CONFIG for an agent policy does not have, and for a target that cannot be it. */
  async enrol({ target, agent, now }: EnrolRequest): Promise<Enrolled> {
    const id = this.#targets.agentId(agent);
    if (id === null)
      throw new SluiceError('CONFIG', `no agent of the policy is named ${agent}`, {
        hint: 'give a name that stands under `agents` in the policy in force; sluice status says which file that is',
      });
    const { members, fresh } = this.#tagAll(rootsOf(target, this.#targets.cgroupRoot), target, id);
    const mine = members.filter(({ pid, tag }) => fresh.has(pid) || tag?.agentId === id);
    const others = members.filter(({ pid, tag }) => !fresh.has(pid) && tag !== null && tag.agentId !== id);
    const sockets = mine.flatMap(({ pid }) => this.#sockets(pid, now));
    return {
      agent,
      processes: await Promise.all(
        mine.map(async ({ pid }) => ({ pid, exe: await exeOf(pid), was: !fresh.has(pid) })),
      ),
      others: others.map(({ pid, tag }) => ({ pid, agent: this.#targets.agentName(tag?.agentId ?? 0) })),
      sockets: sockets.slice(0, MAX_SOCKETS_TOLD),
      socketsTotal: sockets.length,
    };
  }

  #tagAll(
    roots: () => number[],
    target: string,
    id: number,
  ): { readonly members: readonly KernelProcess[]; readonly fresh: ReadonlySet<number> } {
    const fresh = new Set<number>();
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const all = this.#targets.list();
      const wanted = roots();
      const members = withDescendants(wanted, all);
      if (round === 0) this.#check(members, new Set(wanted), target, id);
      const untagged = members.filter(
        ({ tag }) => tag === null || tag.agentId === this.#targets.unknownAgentId,
      );
      if (untagged.length === 0) {
        this.#untagGone(fresh, all);
        return { members, fresh };
      }
      for (const process of untagged) {
        this.#targets.tag(process, id);
        fresh.add(process.pid);
      }
    }
    throw new SluiceError('KERNEL', `${target} starts processes faster than they can be enrolled`, {
      hint: 'enrol its unit by policy and restart it',
    });
  }

  /** Whoever ended while it was tagged must not leave a tag behind. */
  #untagGone(fresh: Set<number>, all: readonly KernelProcess[]): void {
    const alive = new Set(all.map(({ pid }) => pid));
    for (const pid of fresh)
      if (!alive.has(pid)) {
        this.#targets.untag(pid);
        fresh.delete(pid);
      }
  }

  #check(members: readonly KernelProcess[], roots: ReadonlySet<number>, target: string, id: number): void {
    if (members.length === 0)
      refuse(`no process ${target} runs`, 'give a pid of this host, or the name of a unit');
    for (const { pid, cgroupId, tag } of members) {
      if (cgroupId === this.#targets.selfCgroupId)
        refuse(
          `${target} has Sluice itself among it (process ${pid})`,
          'enrol what is meant, and nothing above it',
        );
      const isOther = tag !== null && tag.agentId !== id && tag.agentId !== this.#targets.unknownAgentId;
      if (isOther && roots.has(pid))
        refuse(
          `process ${pid} is the agent ${this.#targets.agentName(tag.agentId) ?? 'of a former policy'} already`,
          'what a process has become it stays; restart it where policy names it otherwise',
        );
    }
  }

  #sockets(pid: number, now: boolean): EnrolledSocket[] {
    const found = this.#targets.sockets(pid);
    if (now) {
      for (const socket of found)
        if (isInternet(socket) && socket.state === 'connected' && !socket.governed)
          this.#targets.disconnect(pid, socket.fd, socket.cookie);
      this.#targets.takeInSockets(pid);
    }
    const after = new Map(this.#targets.sockets(pid).map((socket) => [socket.cookie, socket]));
    const once = new Map(found.map((socket) => [socket.cookie, socket]));
    return [...once.values()].map((socket) => ({
      pid,
      fd: socket.fd,
      kind: kindOf(socket),
      state: socket.state,
      local: socket.local,
      remote: socket.remote,
      outcome: outcomeOf(socket, after.get(socket.cookie) ?? null),
    }));
  }
}

function outcomeOf(before: OpenSocket, after: OpenSocket | null): EnrolledSocket['outcome'] {
  if (!isInternet(before)) return 'ungoverned';
  if (before.governed) return 'governed';
  if (before.state === 'connected' && after?.state !== 'connected') return 'destroyed';
  if (after?.governed !== true) return after === null ? 'destroyed' : 'left';
  return before.state === 'connected' ? 'cut' : 'governed';
}
