/**
 * From the policy to the kernel's enrolment tables: finds executables' inodes, adds Sluice's own cgroups, and
 * refuses what would make the daemon its own agent.
 */
import { readFileSync, statSync } from 'node:fs';
import { messageOf, SluiceError } from '../core/errors.ts';
import { kernelDevice } from '../identity/file-id.ts';
import { sluiceCgroups } from '../kernel/cgroup.ts';
import type { CgroupRule, EnrolmentTables } from '../kernel/enrolment.ts';
import { addressKey } from '../policy/address.ts';
import { agentId } from '../policy/agent-id.ts';
import type { CompiledAgent, CompiledPolicy, Enrolment } from '../policy/types.ts';
import { reservedAgents } from './options.ts';
import { parseResolvConf } from './resolvers.ts';

export interface EnrolmentContext {
  /** Cgroup path of the daemon and its workers. */
  readonly selfCgroup: string;
  readonly workerUid: number;
}

function refuse(agent: string, what: string, hint: string): never {
  throw new SluiceError('POLICY', `agent ${agent}: ${what}`, { hint });
}

function isWithin(path: string, ancestor: string): boolean {
  return ancestor === '/' || path === ancestor || path.startsWith(`${ancestor}/`);
}

function statExecutable(agent: string, path: string): { inode: bigint; dev: number } {
  try {
    const stat = statSync(path, { bigint: true });
    if (!stat.isFile()) throw new Error('not a file');
    return { inode: stat.ino, dev: kernelDevice(stat.dev) };
  } catch (error) {
    return refuse(
      agent,
      `executable ${path} cannot be used: ${messageOf(error)}`,
      'give the path of an installed program',
    );
  }
}

function resolverBytes(policy: CompiledPolicy): Buffer[] {
  const addresses = policy.resolvers ?? parseResolvConf(readFileSync('/etc/resolv.conf', 'utf8'));
  return addresses.flatMap((address) => {
    const key = addressKey(address);
    return key === null ? [] : [Buffer.from(key, 'hex')];
  });
}

/** @throws SluiceError POLICY, naming the agent that cannot be enrolled. */
export function enrolmentTables(policy: CompiledPolicy, context: EnrolmentContext): EnrolmentTables {
  const cgroups: CgroupRule[] = [
    // What `sluice run` starts under a name no agent has is governed all the same, and allowed nothing.
    { path: sluiceCgroups.run, agentId: agentId(reservedAgents.unknown) },
    { path: sluiceCgroups.canary, agentId: agentId(reservedAgents.canary) },
  ];
  const uids: { uid: number; agentId: number }[] = [];
  const exes: { inode: bigint; dev: number; agentId: number }[] = [];

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
      if (enrolment.uid === context.workerUid)
        refuse(
          agent.name,
          `uid ${enrolment.uid} is the workers'`,
          'let agents and workers have users of their own',
        );
      uids.push({ uid: enrolment.uid, agentId: agent.id });
    } else {
      exes.push({ ...statExecutable(agent.name, enrolment.path), agentId: agent.id });
    }
  };
  for (const agent of policy.agents) {
    if (Object.values(reservedAgents).some((reserved) => reserved === agent.name))
      refuse(agent.name, 'this name is reserved', 'choose another');
    for (const enrolment of agent.enrolments) add(agent, enrolment);
  }
  return { cgroups, uids, exes, resolvers: resolverBytes(policy) };
}
