/** Agents as the kernel plane knows them: units and `run` names are cgroup paths in the end. */
import { agentId } from './agent-id.ts';
import { runCgroupPath, unitCgroupPath } from './cgroup-path.ts';
import type { AgentEntry, MatchEntry } from './document.ts';
import type { CompiledAgent, Enrolment } from './types.ts';

/** `match` has been found valid. */
export function enrolmentOf(match: MatchEntry): Enrolment {
  if (match.uid !== undefined) return { kind: 'uid', uid: match.uid };
  if (match.exe !== undefined) return { kind: 'exe', path: match.exe };
  if (match.run !== undefined) return { kind: 'cgroup', path: runCgroupPath(match.run) };
  if (match.unit !== undefined)
    return { kind: 'cgroup', path: unitCgroupPath(match.unit, match.slice ?? null) };
  return { kind: 'cgroup', path: match.cgroup ?? '' };
}

export function compileAgent(entry: AgentEntry): CompiledAgent {
  return {
    id: agentId(entry.name),
    name: entry.name,
    groups: [...(entry.groups ?? [])],
    enrolments: entry.match.map(enrolmentOf),
  };
}
