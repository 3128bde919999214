/**
 * From the policy to the kernel's enrolment tables: finds executables' inodes, adds Sluice's own cgroups, and
 * refuses what would make the daemon its own agent.
 */
import { messageOf, SluiceError } from '../core/errors.ts';
import { sluiceCgroups } from '../kernel/cgroup.ts';
import type { CgroupRule, EnrolmentTables, UidRule } from '../kernel/enrolment.ts';
import { agentId } from '../policy/agent-id.ts';
import { inboundRanges } from '../policy/inbound.ts';
import type { CompiledAgent, CompiledPolicy, Enrolment } from '../policy/types.ts';
import { findClosedSockets, placeOnly } from './closed-sockets.ts';
import { type Executable, lookAtExecutable } from './executables.ts';
import { reservedAgents } from './options.ts';
import { resolversOf } from './resolvers.ts';

export interface EnrolmentContext {
  /** Cgroup path of the daemon and its workers. */
  readonly selfCgroup: string;
  readonly workerUid: number;
  /** Sockets of the daemon's own, which are closed to agents whatever policy says. */
  readonly apiSocket: string;
  readonly canarySocket: string;
}

/** The kernel's tables, and what whoever runs the host has to be told about them. */
export interface AgentTables extends EnrolmentTables {
  /** One sentence each. */
  readonly doubts: readonly string[];
  /** As policy names them. */
  readonly exePaths: readonly string[];
  /** Where sockets lie that are closed to agents, or would. */
  readonly socketPaths: readonly string[];
}

const unknownId = agentId(reservedAgents.unknown);

function refuse(agent: string, what: string, hint: string): never {
  throw new SluiceError('POLICY', `agent ${agent}: ${what}`, { hint });
}

function isWithin(path: string, ancestor: string): boolean {
  return ancestor === '/' || path === ancestor || path.startsWith(`${ancestor}/`);
}

function look(agent: string, path: string, hashed: boolean): Executable {
  try {
    return lookAtExecutable(path, hashed);
  } catch (error) {
    return refuse(
      agent,
      `executable ${path} cannot be used: ${messageOf(error)}`,
      'give the path of an installed program',
    );
  }
}

/** @throws SluiceError POLICY, naming the agent that cannot be enrolled. */
export function enrolmentTables(policy: CompiledPolicy, context: EnrolmentContext): AgentTables {
  const cgroups: CgroupRule[] = [
    // What `sluice run` starts under a name no agent has is governed all the same, and allowed nothing.
    { path: sluiceCgroups.run, agentId: unknownId },
    { path: sluiceCgroups.canary, agentId: agentId(reservedAgents.canary) },
  ];
  const uids: UidRule[] = [];
  const exes: { inode: bigint; dev: number; agentId: number }[] = [];
  const places: { directoryInode: bigint; dev: number; name: string }[] = [];
  const exePaths: string[] = [];
  const doubts: string[] = [];

  /** A pinned file with another content is governed all the same: to leave it alone would be to let it out. */
  const addExe = (agent: CompiledAgent, { path, sha256 }: Extract<Enrolment, { kind: 'exe' }>): void => {
    const { id, place, sha256: found } = look(agent.name, path, sha256 !== null);
    const isPinned = sha256 === null || found === sha256;
    if (!isPinned)
      doubts.push(
        `${path} is not the file that policy pins for the agent ${agent.name}: its sha256 is ${found}; it is governed as unknown`,
      );
    exes.push({ inode: id.inode, dev: id.dev, agentId: isPinned ? agent.id : unknownId });
    places.push({ directoryInode: place.directory.inode, dev: place.directory.dev, name: place.name });
    exePaths.push(path);
  };

  const add = (agent: CompiledAgent, enrolment: Enrolment): void => {
    if (enrolment.kind === 'cgroup') {
      if (isWithin(context.selfCgroup, enrolment.path))
        refuse(
          agent.name,
          `cgroup ${enrolment.path} holds the daemon itself`,
          'enrol the units or slices below it',
        );
      cgroups.push({ path: enrolment.path, agentId: agent.id });
    } else if (enrolment.kind === 'uid') {
      const { first, last } = enrolment;
      if (first <= context.workerUid && context.workerUid <= last)
        refuse(
          agent.name,
          `uid ${context.workerUid} is the workers'`,
          'let agents and workers have users of their own',
        );
      uids.push({ first, last, agentId: agent.id });
    } else {
      addExe(agent, enrolment);
    }
  };
  for (const agent of policy.agents) {
    if (Object.values(reservedAgents).some((reserved) => reserved === agent.name))
      refuse(agent.name, 'this name is reserved', 'choose another');
    for (const enrolment of agent.enrolments) add(agent, enrolment);
  }
  const dns = resolversOf(policy).length > 0;
  const inbound = policy.agents
    .map((agent) => ({ agentId: agent.id, ranges: inboundRanges(policy, agent.name) }))
    .filter(({ ranges }) => ranges.length > 0);
  const { watched, files, places: found } = findClosedSockets([context.apiSocket, ...policy.closedSockets]);
  const canary = placeOnly(context.canarySocket);
  const closedSockets = { files, places: canary === null ? found : [canary, ...found] };
  return {
    ...{ cgroups, uids, exes, places, closedSockets, dns, inbound, doubts, exePaths },
    socketPaths: watched,
  };
}
