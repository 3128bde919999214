/**
 * Makes a compiled policy ready for deciding, which happens once for each connection: rules are sorted out by
 * agent, ranges merged for binary search, hosts put into sets. Built once per revision and never changed.
 */

import { type AddressRange, mergeRanges } from './address.ts';
import type { ContentRule } from './content-rules.ts';
import { type HostSet, hostSet, isWildcard } from './host-pattern.ts';
import type {
  CompiledDestination,
  CompiledMask,
  CompiledOperationRule,
  CompiledPolicy,
  CompiledRule,
} from './types.ts';

/**
 * What a rule without destinations stands for: any address, and the name from the request. A destination's name
 * begins with a letter or digit, so `*` is no other's.
 */
export const ANYWHERE: CompiledDestination = {
  name: '*',
  hosts: [],
  ranges: [],
  ports: [],
  protocol: 'auto',
  tls: {
    serverName: null,
    ca: null,
    minVersion: 'TLSv1.2',
    negotiation: 'postgres',
    clientCertificate: null,
  },
  portMap: {},
};

export interface PreparedDestination {
  readonly source: CompiledDestination;
  readonly ranges: readonly AddressRange[];
  readonly hosts: HostSet;
  /**
   * Whether the name of the server is compared with `hosts`; else `hosts` only says what to verify. The name is the one
   * the agent's protocol gives, or else its DNS.
   */
  readonly byName: boolean;
  /** The name to verify where policy fixes it. */
  readonly fixedName: string | null;
}

export interface PreparedRule {
  readonly source: CompiledRule;
  readonly destinations: readonly PreparedDestination[];
}

/** A rule about operations, or a mask. */
export interface PreparedContentRule<Rule extends ContentRule> {
  readonly source: Rule;
  readonly destinations: readonly PreparedDestination[];
}

/** The rules that speak of one agent, in the order of the document. */
export interface AgentRules {
  readonly denies: readonly PreparedRule[];
  /** `allow` and `exempt`. */
  readonly grants: readonly PreparedRule[];
}

export class PreparedPolicy {
  readonly source: CompiledPolicy;
  readonly rules: readonly PreparedRule[];
  readonly operations: readonly PreparedContentRule<CompiledOperationRule>[];
  readonly masks: readonly PreparedContentRule<CompiledMask>[];
  readonly #byAgent = new Map<string, AgentRules>();
  readonly #noAgent: AgentRules;
  readonly #names: ReadonlyMap<number, string>;

  constructor(policy: CompiledPolicy) {
    this.source = policy;
    const destinations = new Map(
      policy.destinations.map((source) => [source.name, prepareDestination(source)]),
    );
    const anywhere = [prepareDestination(ANYWHERE)];
    this.rules = policy.rules.map((source) => ({
      source,
      destinations:
        source.destinations.length === 0
          ? anywhere
          : source.destinations.flatMap((name) => destinations.get(name) ?? []),
    }));
    const prepare = <Rule extends ContentRule>(source: Rule): PreparedContentRule<Rule> => ({
      source,
      destinations: source.destinations.flatMap((name) => destinations.get(name) ?? []),
    });
    this.operations = policy.operations.map(prepare);
    this.masks = policy.masks.map(prepare);
    this.#noAgent = split(this.rules.filter((rule) => speaksOf(rule.source, null)));
    for (const { name } of policy.agents) {
      this.#byAgent.set(name, split(this.rules.filter((rule) => speaksOf(rule.source, name))));
    }
    this.#names = new Map(policy.agents.map(({ id, name }) => [id, name]));
  }

  /** The agent's name by the id the kernel plane gave; null if this policy has no such agent. */
  agentName(id: number): string | null {
    return this.#names.get(id) ?? null;
  }

  /** A name this policy does not have is no agent's. */
  rulesFor(agent: string | null): AgentRules {
    return (agent === null ? undefined : this.#byAgent.get(agent)) ?? this.#noAgent;
  }
}

export function preparePolicy(policy: CompiledPolicy): PreparedPolicy {
  return new PreparedPolicy(policy);
}

/**
 * A rule without agents speaks of every agent of the policy. A process that is governed but none of them (null:
 * its agent has left the policy, or `sluice run` used a name nobody has) is only ever denied: what is allowed
 * to "every agent" was not meant for it.
 */
export function speaksOf(rule: CompiledRule, agent: string | null): boolean {
  if (agent === null) return rule.agents.length === 0 && rule.action === 'deny';
  return rule.agents.length === 0 || rule.agents.includes(agent);
}

function split(rules: readonly PreparedRule[]): AgentRules {
  return {
    denies: rules.filter((rule) => rule.source.action === 'deny'),
    grants: rules.filter((rule) => rule.source.action !== 'deny'),
  };
}

function prepareDestination(source: CompiledDestination): PreparedDestination {
  const [only] = source.hosts;
  const literal = source.hosts.length === 1 && only !== undefined && !isWildcard(only) ? only : null;
  // Where the protocol names no server, one name says whom to verify, and address and port whom is meant.
  const verifiedOnly =
    (source.protocol === 'tls' || source.protocol === 'postgres') &&
    literal !== null &&
    (source.tls.serverName ?? literal) === literal;
  return {
    source,
    ranges: mergeRanges(source.ranges),
    hosts: hostSet(source.hosts),
    byName: source.hosts.length > 0 && !verifiedOnly,
    fixedName: source.tls.serverName ?? literal,
  };
}
