/**
 * Which names each agent may ask DNS for, where policy bounds them: those of destinations that a rule lets it reach. A
 * question is a message to whoever runs the name's servers, so an agent that may ask for anything can tell anything.
 */
import { hostSet, hostSetHas } from './host-pattern.ts';
import { speaksOf } from './prepare.ts';
import type { CompiledDestination, CompiledPolicy, NameLife } from './types.ts';

/** What the forwarder needs of a policy, and no more: it reads hostile bytes. */
export interface DnsPolicy {
  readonly revision: string;
  /** IP addresses, in the order they are asked. */
  readonly resolvers: readonly string[];
  readonly nameLife: NameLife;
  readonly queriesPerSecond: number;
  readonly record: 'all' | 'refused';
  readonly agents: readonly {
    readonly id: number;
    readonly name: string;
    /** Host patterns; null: any name. */
    readonly names: readonly string[] | null;
  }[];
}

export function dnsPolicy(policy: CompiledPolicy, resolvers: readonly string[]): DnsPolicy {
  const { names, nameLife, queriesPerSecond, record } = policy.dns;
  return {
    revision: policy.revision,
    resolvers,
    nameLife,
    queriesPerSecond,
    record,
    agents: policy.agents.map((agent) => ({
      id: agent.id,
      name: agent.name,
      names: names === 'any' ? null : reachableNames(policy, agent.name),
    })),
  };
}

/** Null where a rule lets the agent go anywhere by name. */
function reachableNames(policy: CompiledPolicy, agent: string): string[] | null {
  const found = new Set<string>();
  const byName = new Map(policy.destinations.map((destination) => [destination.name, destination]));
  for (const rule of policy.rules) {
    if (rule.action === 'deny' || !speaksOf(rule, agent)) continue;
    if (rule.destinations.length === 0) return null;
    for (const name of rule.destinations) for (const host of namesOf(byName.get(name))) found.add(host);
  }
  return [...found];
}

function namesOf(destination: CompiledDestination | undefined): readonly string[] {
  if (destination === undefined) return [];
  const { serverName } = destination.tls;
  return serverName === null ? destination.hosts : [...destination.hosts, serverName];
}

/** A `DnsPolicy` made ready for asking. */
export class DnsNames {
  readonly #byAgent = new Map<number, (name: string) => boolean>();

  constructor(policy: DnsPolicy) {
    for (const { id, names } of policy.agents) {
      const set = names === null ? null : hostSet(names);
      this.#byAgent.set(id, (name) => set === null || hostSetHas(set, name));
    }
  }

  /** `name` in lower case without a final dot. What is governed and no agent of the policy may ask for nothing. */
  mayAsk(agentId: number, name: string): boolean {
    return this.#byAgent.get(agentId)?.(name) ?? false;
  }
}
