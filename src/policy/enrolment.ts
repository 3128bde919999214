/**
 * Which agent a process is, by the kernel plane's precedence: the deepest enrolled cgroup above it, then its
 * executable, then its user id. From what was set up for this very process to what is true of many.
 *
 * The kernel decides this for real flows (bpf/); this is the same rule for `sluice policy explain` and for the
 * daemon's checks, without a kernel.
 */
import type { CompiledAgent, CompiledPolicy, Enrolment } from './types.ts';

export interface ProcessPlace {
  /** Path below the root of the cgroup v2 hierarchy; null if not known. */
  readonly cgroup: string | null;
  readonly exe: string | null;
  readonly uid: number | null;
}

export interface Enrolled {
  readonly agent: CompiledAgent;
  readonly enrolment: Enrolment;
}

/** Null: the process is no agent. */
export function findAgent(policy: CompiledPolicy, place: ProcessPlace): Enrolled | null {
  let best: Enrolled | null = null;
  let bestRank = 0;
  for (const agent of policy.agents) {
    for (const enrolment of agent.enrolments) {
      const rank = rankOf(enrolment, place);
      if (rank > bestRank) {
        best = { agent, enrolment };
        bestRank = rank;
      }
    }
  }
  return best;
}

/** 0: does not fit; 1: uid; 2: exe; from 3 on: cgroup, by depth. */
function rankOf(enrolment: Enrolment, place: ProcessPlace): number {
  if (enrolment.kind === 'uid') return enrolment.uid === place.uid ? 1 : 0;
  if (enrolment.kind === 'exe') return enrolment.path === place.exe ? 2 : 0;
  if (place.cgroup === null || !`${place.cgroup}/`.startsWith(`${enrolment.path}/`)) return 0;
  return 2 + enrolment.path.split('/').length;
}
