/**
 * Whether one destination of one rule fits one question: the only place where policy meets a flow, shared by
 * `decide()` and `explain()` so that an explanation cannot differ from the decision. Answers are constant words:
 * nothing is allocated per comparison.
 */
import type { Protocol } from '../flow/record.ts';
import { addressKey, inRanges } from './address.ts';
import { hostSetHas, normaliseSeenName } from './host-pattern.ts';
import { inPorts } from './ports.ts';
import type { PreparedDestination } from './prepare.ts';
import type { CompiledRule, FlowQuestion } from './types.ts';

export type Match =
  | 'yes'
  /** It depends on what the agent says first. */
  | 'maybe'
  // Never, whatever the agent says.
  | 'port'
  | 'address'
  // Not with what the agent said.
  | 'protocol'
  | 'undetected'
  | 'name'
  | 'no-name'
  | 'agent-tls'
  | 'replication';

/** A question in the forms that are compared. */
export interface View {
  /** Null: the address is none, and nothing fits it. */
  readonly key: string | null;
  readonly port: number;
  /** What the agent's DNS called this address. */
  readonly dnsName: string | null;
  readonly seen: SeenView | null;
}

export interface SeenView {
  readonly protocol: Protocol;
  readonly agentTls: boolean;
  readonly name: string | null;
  readonly replication: boolean;
}

export function viewOf(question: FlowQuestion): View {
  const { seen } = question;
  const agentTls = seen !== undefined && (seen.agentTls || seen.protocol === 'tls');
  return {
    key: addressKey(question.ip),
    port: question.port,
    dnsName: normaliseSeenName(question.dnsName ?? null),
    seen:
      seen === undefined
        ? null
        : {
            protocol: seen.protocol,
            agentTls,
            // Of the plain protocols only HTTP says a name.
            name: agentTls || seen.protocol === 'http' ? normaliseSeenName(seen.name) : null,
            replication: seen.replication === true && seen.protocol === 'postgres',
          },
  };
}

/** What of a rule matters here. */
type Ruling = Pick<CompiledRule, 'action' | 'passthrough' | 'replication'>;

export function matchDestination(rule: Ruling, destination: PreparedDestination, view: View): Match {
  if (!inPorts(destination.source.ports, view.port)) return 'port';
  if (view.key === null) return 'address';
  if (destination.ranges.length > 0 && !inRanges(destination.ranges, view.key)) return 'address';
  if (view.seen === null) {
    if (needsLook(rule, destination)) return 'maybe';
    return destination.byName ? matchName(destination, plainName(rule, destination, view)) : 'yes';
  }
  return view.seen.agentTls
    ? matchAgentTls(rule, destination, view, view.seen)
    : matchPlain(rule, destination, view, view.seen);
}

/**
 * The name of the server for bytes that Sluice reads or wraps: what the protocol says, or else what the agent's DNS said.
 * Bytes that are wrapped unread (`tls`) say none, even if they were read for another rule's sake. Where nothing will
 * prove it (`exempt`), DNS is not asked.
 */
export function plainName(rule: Ruling, destination: PreparedDestination, view: View): string | null {
  const said = destination.source.protocol === 'tls' ? null : (view.seen?.name ?? null);
  return said ?? (rule.action === 'exempt' ? null : view.dnsName);
}

/**
 * Whether what the agent's DNS called the address could change the answer: a destination that is reached by name, or
 * has no name to verify, in a protocol that gives none.
 */
export function wantsDnsName(rule: Ruling, destination: PreparedDestination, view: View): boolean {
  const { seen } = view;
  if (seen !== null && (seen.agentTls || seen.name !== null)) return false;
  // HTTP names its server, and what `auto` turns out to be is mostly HTTP.
  const { protocol, ports } = destination.source;
  if (seen === null && (protocol === 'http' || protocol === 'auto')) return false;
  if (rule.action === 'exempt' || (!destination.byName && destination.fixedName !== null)) return false;
  if (view.key === null || !inPorts(ports, view.port)) return false;
  return destination.ranges.length === 0 || inRanges(destination.ranges, view.key);
}

/** Whether the agent's first bytes decide if this fits, or how the flow is carried. */
function needsLook(rule: Ruling, destination: PreparedDestination): boolean {
  const { protocol } = destination.source;
  if (protocol === 'http' || protocol === 'postgres') return true;
  if (protocol === 'auto' && destination.byName) return true;
  // `auto` must be told apart to add TLS, but to deny or exempt whatever comes nothing need be known.
  return rule.action === 'allow' && (protocol === 'auto' || rule.passthrough);
}

function matchPlain(rule: Ruling, destination: PreparedDestination, view: View, seen: SeenView): Match {
  const { protocol } = destination.source;
  const recognised = seen.protocol === 'http' || seen.protocol === 'postgres';
  if (protocol === 'http' || protocol === 'postgres') {
    if (!recognised) return rule.action === 'deny' ? 'protocol' : 'undetected';
    if (protocol !== seen.protocol) return 'protocol';
  } else if (protocol === 'auto' && !recognised && (rule.action === 'allow' || destination.byName)) {
    // To deny, what the agent resolved is name enough.
    if (rule.action !== 'deny') return 'undetected';
  }
  const match = destination.byName ? matchName(destination, plainName(rule, destination, view)) : 'yes';
  if (match !== 'yes' || !seen.replication || rule.replication || rule.action === 'deny') return match;
  // Replication shows in bytes that are read; to exempt or wrap whatever comes, none are.
  const isRead = protocol === 'postgres' || (protocol === 'auto' && rule.action === 'allow');
  return isRead ? 'replication' : 'yes';
}

/**
 * What goes on inside the agent's own TLS is not seen, so a destination of any protocol may be meant; unless
 * the agent asked for TLS in a protocol's own words (SSLRequest), which names the protocol.
 */
function matchAgentTls(rule: Ruling, destination: PreparedDestination, view: View, seen: SeenView): Match {
  const { protocol } = destination.source;
  const narrow = protocol === 'http' || protocol === 'postgres';
  const named = seen.protocol === 'http' || seen.protocol === 'postgres';
  if (narrow && named && protocol !== seen.protocol) return 'protocol';
  if (rule.action === 'deny') {
    // What is not read has no name but the resolved one, here as at connect time.
    const name = protocol === 'tls' ? view.dnsName : seen.name;
    return destination.byName ? matchName(destination, name) : 'yes';
  }
  if (rule.action === 'exempt') {
    // By address an exemption is for any bytes; by protocol or Host header for plain ones that were read.
    if (!destination.byName && (!narrow || named)) return 'yes';
  } else if (rule.passthrough) {
    return destination.source.hosts.length > 0 ? matchName(destination, seen.name) : 'yes';
  }
  const another = destination.byName && matchName(destination, seen.name) === 'name';
  return another ? 'name' : 'agent-tls';
}

function matchName(destination: PreparedDestination, name: string | null): Match {
  if (name === null) return 'no-name';
  return hostSetHas(destination.hosts, name) ? 'yes' : 'name';
}
