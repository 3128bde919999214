/** What a Sluice has of the host at a moment, counted from outside: to see that what was once there comes to no more. */
import { existsSync, globSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { DEFAULT_PIN_DIR } from '#src/api/paths.ts';
import type { Status } from '#src/api/types.ts';
import { addon } from '#src/kernel/addon.ts';
import { findCgroup2 } from '#src/kernel/cgroup.ts';
import { must } from './command.ts';
import type { Namespace } from './network.ts';

/** `enum bpf_map_type` of linux/bpf.h: tables whose entries are of something that exists. */
const HASH = 1;
const TRIE = 11;
/** LRUs that are emptied nevertheless. The others are caches, which keep what they have room for. */
const EMPTIED = ['sluice_datagrams', 'sluice_netns', 'sluice_peers'];

export type Residue = Readonly<Record<string, number | string | readonly string[]>>;

/** @param namespaces those whose sockets are counted */
export async function residueOf(namespaces: readonly Namespace[], status: Status): Promise<Residue> {
  const processes = childrenOf(status.pid);
  const programs = programIds(await must(['bpftool', 'prog', 'list']));
  let sockets = 0;
  for (const netns of namespaces)
    sockets += matches(await must(netns.wrap(['ss', '-tunaH'])), /^(tcp|udp)/gm);
  return {
    pins: globSync(`${DEFAULT_PIN_DIR}/**`).sort(),
    ...Object.fromEntries(countedTables().map((name) => [name, entriesOf(name)])),
    programs: programs.size,
    links: linksTo(programs, await must(['bpftool', 'link', 'list'])),
    cgroups: cgroupsBelow(`${findCgroup2()}/sluice`),
    namespaces: namespacesOf([status.pid, ...processes.map(({ pid }) => pid)]),
    processes: processes.map(({ kind }) => kind).sort(),
    'descriptors of the daemon': descriptorsOf(status.pid),
    'descriptors of workers': descriptorsOfAll(processes, 'worker'),
    'descriptors of the forwarder': descriptorsOfAll(processes, 'forwarder'),
    'sockets on loopback': sockets,
  };
}

export interface Child {
  readonly pid: number;
  readonly kind: 'worker' | 'forwarder' | 'other';
}

/** The daemon's processes, in the order in which they were started. */
export function childrenOf(pid: number): Child[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter((text) => text.trim() !== '')
    .map((text) => {
      const line = commandLine(Number(text));
      // By the code it starts with, then by the title it takes.
      const kind = /worker-main|^sluice-worker/.test(line)
        ? 'worker'
        : /dns-main|^sluice-dns/.test(line)
          ? 'forwarder'
          : 'other';
      return { pid: Number(text), kind };
    });
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

/** By what is pinned: a table that is new is counted without being named here. */
function countedTables(): string[] {
  return readdirSync(`${DEFAULT_PIN_DIR}/maps`).filter((name) => {
    const { type } = addon().mapShape(`${DEFAULT_PIN_DIR}/maps/${name}`);
    return type === HASH || type === TRIE || EMPTIED.includes(name);
  });
}

/** Of a table of the kernel plane; -1 if there is none. */
export function entriesOf(table: string): number {
  const pin = `${DEFAULT_PIN_DIR}/maps/${table}`;
  if (!existsSync(pin)) return -1;
  const map = new (addon().BpfMap)(pin);
  try {
    return map.keys().length;
  } finally {
    map.close();
  }
}

function descriptorsOfAll(processes: readonly Child[], kind: Child['kind']): string[] {
  return processes.filter((child) => child.kind === kind).map(({ pid }) => descriptorsOf(pid));
}

function matches(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}

/** Of ours, as bpftool lists programs. */
function programIds(list: string): Set<string> {
  return new Set([...list.matchAll(/^(\d+): .*\bname sluice_/gm)].map(([, id = '']) => id));
}

function linksTo(programs: ReadonlySet<string>, list: string): number {
  const targets = [...list.matchAll(/^\d+: .*\bprog (\d+)/gm)].map(([, id = '']) => id);
  return targets.filter((id) => programs.has(id)).length;
}

function cgroupsBelow(directory: string): number {
  if (!existsSync(directory)) return 0;
  const below = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return below.reduce((sum, { name }) => sum + cgroupsBelow(`${directory}/${name}`), 1);
}

/** Network namespaces the processes are in, or keep by a descriptor. */
function namespacesOf(pids: readonly number[]): number {
  const found = new Set<string>();
  for (const pid of pids)
    for (const link of [`/proc/${pid}/ns/net`, ...globSync(`/proc/${pid}/fd/*`)]) {
      const target = linkTarget(link);
      if (target?.startsWith('net:')) found.add(target);
    }
  return found.size;
}

/** Null: there is no such link, or none any more. */
export function linkTarget(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    // Closed since it was listed.
    return null;
  }
}

/** How many of each kind, as text: what is not the same shows where it comes from. */
function descriptorsOf(pid: number): string {
  const counts = new Map<string, number>();
  for (const link of globSync(`/proc/${pid}/fd/*`)) {
    const kind = linkTarget(link)?.replace(/:?\[\d+\]$/, '') ?? 'closed';
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return [...counts]
    .map(([kind, count]) => `${kind} ${count}`)
    .sort()
    .join(', ');
}
