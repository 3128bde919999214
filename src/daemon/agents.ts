/** The table of who is an agent, and why: what the kernel says, with the names people know. */
import { readFile, readlink } from 'node:fs/promises';
import type { AgentList, AgentProcess, AgentReason } from '../api/types.ts';
import { parseCgroupPath } from '../identity/cgroup.ts';
import { isSameProcess } from '../identity/process.ts';
import { sluiceCgroups } from '../kernel/cgroup.ts';
import { AF_INET, AF_INET6, type KernelProcess, type OpenSocket } from '../kernel/processes.ts';

export interface AgentSources {
  readonly processes: () => readonly KernelProcess[];
  readonly sockets: () => readonly OpenSocket[];
  /** Null for the id of no agent. */
  readonly agentName: (id: number) => string | null;
  readonly rfc3339: (bootNs: bigint) => string;
  readonly openFlows: () => ReadonlyMap<number, number>;
  readonly procRoot?: string;
}

type Agent = KernelProcess & { readonly tag: NonNullable<KernelProcess['tag']> };

function isAgent(process: KernelProcess): process is Agent {
  return process.tag !== null;
}

export function isInternet({ family }: OpenSocket): boolean {
  return family === AF_INET || family === AF_INET6;
}

/** Sockets of each process, each once however many descriptors there are. */
function socketsByPid(sockets: readonly OpenSocket[]): Map<number, OpenSocket[]> {
  const byPid = new Map<number, Map<bigint, OpenSocket>>();
  for (const socket of sockets) {
    const own = byPid.get(socket.pid) ?? new Map<bigint, OpenSocket>();
    byPid.set(socket.pid, own.set(socket.cookie, socket));
  }
  return new Map([...byPid].map(([pid, own]) => [pid, [...own.values()]]));
}

/** The executable as /proc shows it; null for a process that is gone. */
export async function exeOf(pid: number, procRoot = '/proc'): Promise<string | null> {
  return readlink(`${procRoot}/${pid}/exe`).catch(() => null);
}

async function cgroupOf(pid: number, procRoot: string): Promise<string | null> {
  return readFile(`${procRoot}/${pid}/cgroup`, 'utf8').then(parseCgroupPath, () => null);
}

function reasonOf({ tag }: Agent, cgroup: string | null): AgentReason {
  if (tag.why !== 'cgroup') return tag.why;
  return cgroup?.startsWith(`${sluiceCgroups.run}/`) === true ? 'run' : 'cgroup';
}

/** @throws SluiceError KERNEL where the kernel cannot be asked. */
export async function listAgents(sources: AgentSources, limit: number): Promise<AgentList> {
  const { procRoot = '/proc' } = sources;
  const all = sources.processes().filter(isAgent);
  all.sort((a, b) => a.pid - b.pid);
  const sockets = socketsByPid(sources.sockets());
  const flows = sources.openFlows();
  const agents: AgentProcess[] = [];
  for (const process of all.slice(0, limit)) {
    const { pid, tag, uid } = process;
    const own = sockets.get(pid) ?? [];
    const internet = own.filter(isInternet);
    const shown = await Promise.all([exeOf(pid, procRoot), cgroupOf(pid, procRoot)]);
    // What /proc says after its end is of the next process with the number.
    const [exe, cgroup] = isSameProcess(procRoot, pid, process.startNs) ? shown : [null, null];
    agents.push({
      pid,
      agent: sources.agentName(tag.agentId),
      reason: reasonOf(process, cgroup),
      inherited: tag.inherited,
      wasRunning: tag.wasRunning,
      since: sources.rfc3339(tag.sinceNs),
      startedAt: sources.rfc3339(process.startNs),
      uid,
      exe,
      cgroup,
      sockets: {
        internet: internet.length,
        ungoverned: internet.filter(({ governed }) => !governed).length,
        other: own.length - internet.length,
      },
      flows: flows.get(pid) ?? 0,
    });
  }
  return { agents, total: all.length };
}
