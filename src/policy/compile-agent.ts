/** Agents as the kernel plane knows them: units and `run` names are cgroup paths in the end. */
import { agentId } from './agent-id.ts';
import { runCgroupPath, unitCgroupPath } from './cgroup-path.ts';
import type { AgentEntry, MatchEntry } from './document.ts';
import type { CompiledAgent, Enrolment } from './types.ts';
import { parseUids } from './uids.ts';

/** `match` has been found valid. */
export function enrolmentOf(match: MatchEntry): Enrolment {
  if (match.uid !== undefined) return uidEnrolment(match.uid);
  if (typeof match.exe === 'string') return { kind: 'exe', path: match.exe, sha256: null };
  if (match.exe !== undefined)
    return { kind: 'exe', path: match.exe.path, sha256: match.exe.sha256?.toLowerCase() ?? null };
  if (match.run !== undefined) return { kind: 'cgroup', path: runCgroupPath(match.run) };
  if (match.unit !== undefined)
    return { kind: 'cgroup', path: unitCgroupPath(match.unit, match.slice ?? null) };
  if (match.slice !== undefined) return { kind: 'cgroup', path: unitCgroupPath(match.slice, null) };
  return { kind: 'cgroup', path: match.cgroup ?? '' };
}

function uidEnrolment(value: number | string): Enrolment {
  const range = parseUids(value);
  if (range === null) throw new TypeError('a user id that was never checked');
  return { kind: 'uid', first: range[0], last: range[1] };
}

export function compileAgent(entry: AgentEntry): CompiledAgent {
  return {
    id: agentId(entry.name),
    name: entry.name,
    groups: [...(entry.groups ?? [])],
    enrolments: entry.match.map(enrolmentOf),
  };
}
