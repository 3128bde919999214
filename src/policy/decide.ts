/**
 * The connect decision. Pure: the same policy and question give the same answer, on any host, at any time.
 *
 * Theory of operation. Deny wins over everything, wherever it stands. Among `allow` and `exempt` the first that
 * fits, in the order of the document, wins; what none fits is denied. A question is asked once or twice: at connect
 * time only address and port are known, and where a rule that could win depends on the agent's first bytes the
 * answer is `inspect`; the second question carries what was seen and is answered for good. An answer given at
 * connect time is one that the agent's first bytes could not change.
 */
import { type Match, matchDestination, plainName, type View, viewOf, wantsDnsName } from './match.ts';
import type { PreparedDestination, PreparedPolicy, PreparedRule } from './prepare.ts';
import type { ConnectAnswer, FlowQuestion, Granted, Inspect, Refused } from './types.ts';

export { PreparedPolicy, preparePolicy } from './prepare.ts';

export function decide(policy: PreparedPolicy, question: FlowQuestion): ConnectAnswer {
  const view = viewOf(question);
  if (view.key === null) return refuse(null, 'no_rule', 'the destination is not an IP address');
  const { denies, grants } = policy.rulesFor(question.agent);
  let denyIsOpen = false;
  for (const rule of denies) {
    for (const destination of rule.destinations) {
      const match = matchDestination(rule.source, destination, view);
      if (match === 'yes') return refuseBy(rule);
      if (match === 'maybe') denyIsOpen = true;
    }
  }
  return view.seen === null ? answerUnseen(grants, view, denyIsOpen) : answerSeen(grants, view);
}

/** Whether the answer may depend on what the agent's DNS called the address, which takes time to find out. */
export function needsDnsName(policy: PreparedPolicy, question: FlowQuestion): boolean {
  const view = viewOf(question);
  const { denies, grants } = policy.rulesFor(question.agent);
  return [...denies, ...grants].some((rule) =>
    rule.destinations.some((destination) => wantsDnsName(rule.source, destination, view)),
  );
}

/** Address, port and the name in DNS only are known. */
function answerUnseen(grants: readonly PreparedRule[], view: View, denyIsOpen: boolean): ConnectAnswer {
  let first: Match | null = null;
  let miss: NearMiss | null = null;
  let protocol: Inspect['protocol'] | undefined;
  for (const rule of grants) {
    for (const destination of rule.destinations) {
      const match = matchDestination(rule.source, destination, view);
      miss = nearer(miss, match, destination);
      if (match !== 'yes' && match !== 'maybe') continue;
      // Only the first that could win may win before the agent has said anything.
      if (first === null && match === 'yes' && !denyIsOpen) return grant(rule, destination, view);
      first ??= match;
      protocol = commonProtocol(protocol, rule, destination);
    }
  }
  if (first === null) return refuseMissed(miss);
  return { kind: 'inspect', protocol: protocol ?? null };
}

/** The protocol all candidates name; null as soon as two differ or one names none. */
function commonProtocol(
  common: Inspect['protocol'] | undefined,
  rule: PreparedRule,
  destination: PreparedDestination,
): Inspect['protocol'] {
  const { protocol } = destination.source;
  const own = protocol === 'http' || protocol === 'postgres' ? protocol : null;
  // An exempt rule by Host header can only ever fit HTTP.
  const meant = own ?? (rule.source.action === 'exempt' && destination.byName ? 'http' : null);
  return common === undefined || common === meant ? meant : null;
}

function answerSeen(grants: readonly PreparedRule[], view: View): ConnectAnswer {
  let miss: NearMiss | null = null;
  for (const rule of grants) {
    for (const destination of rule.destinations) {
      const match = matchDestination(rule.source, destination, view);
      if (match === 'yes') return grant(rule, destination, view);
      miss = nearer(miss, match, destination);
    }
  }
  return refuseMissed(miss);
}

function refuseMissed(miss: NearMiss | null): Refused {
  if (miss === null) return refuse(null, 'no_rule', 'no rule allows this destination');
  const { code, reason } = NEAR_MISSES[miss.match];
  return refuse(null, code, reason(miss.destination.source.name));
}

/**
 * Ways of missing an address's rule that deserve a code of their own; of several the lowest rank is told, then
 * the first in the document.
 */
const NEAR_MISSES = {
  'agent-tls': {
    rank: 0,
    code: 'agent_tls_denied',
    reason: (name) => `the agent speaks TLS itself and no rule lets that pass to "${name}"`,
  },
  replication: {
    rank: 1,
    code: 'replication_denied',
    reason: (name) => `the agent asks for replication and no rule allows that to "${name}"`,
  },
  undetected: {
    rank: 2,
    code: 'undetected',
    reason: (name) => `the protocol was not recognised, and "${name}" needs it known`,
  },
  'no-name': {
    rank: 3,
    code: 'name_required',
    reason: (name) => `"${name}" is known by its host names, and the agent gave none and resolved none`,
  },
} as const satisfies Partial<
  Record<Match, { rank: number; code: Refused['code']; reason: (name: string) => string }>
>;

interface NearMiss {
  readonly match: keyof typeof NEAR_MISSES;
  readonly destination: PreparedDestination;
}

function isNearMiss(match: Match): match is NearMiss['match'] {
  return match in NEAR_MISSES;
}

function nearer(miss: NearMiss | null, match: Match, destination: PreparedDestination): NearMiss | null {
  if (!isNearMiss(match)) return miss;
  if (miss !== null && NEAR_MISSES[miss.match].rank <= NEAR_MISSES[match].rank) return miss;
  return { match, destination };
}

/** Carries out a rule that fits; refuses where TLS would have no name to verify. */
function grant(rule: PreparedRule, destination: PreparedDestination, view: View): Granted | Refused {
  const base = {
    kind: 'allow',
    rule: rule.source.name,
    reason: rule.source.reason,
    destination: destination.source,
  } as const;
  // The port map leads from a plain port to a TLS port: an agent that brings its own TLS, or goes plain, asked
  // for the port it meant.
  if (rule.source.action === 'exempt') {
    return { ...base, mode: 'exempt', serverName: null, upstreamPort: view.port };
  }
  if (view.seen?.agentTls === true) {
    return { ...base, mode: 'passthrough', serverName: null, upstreamPort: view.port };
  }
  const serverName = nameToVerify(rule, destination, view);
  if (serverName === null) {
    const reason = `"${destination.source.name}" has no server name, and the agent gave none and resolved none`;
    return refuse(rule.source.name, 'name_required', reason);
  }
  const upstreamPort = destination.source.portMap[String(view.port)] ?? view.port;
  return { ...base, mode: 'upgrade', serverName, upstreamPort };
}

/**
 * Policy's name first: where it fixes one, the agent cannot choose another. A Host before DNS: it was said on this very
 * connection, and a server has many names. Either way it is only a question, which the certificate answers.
 */
function nameToVerify(
  rule: PreparedRule,
  destination: PreparedDestination,
  view: View,
): Granted['serverName'] {
  if (destination.fixedName !== null) return { name: destination.fixedName, source: 'policy' };
  const name = plainName(rule.source, destination, view);
  if (name === null) return null;
  const said = destination.source.protocol !== 'tls' && view.seen?.name === name;
  return { name, source: said ? 'http-host' : 'dns' };
}

function refuseBy(rule: PreparedRule): Refused {
  return refuse(
    rule.source.name,
    'policy_denied',
    rule.source.reason ?? `the rule "${rule.source.name}" denies it`,
  );
}

function refuse(rule: string | null, code: Refused['code'], reason: string): Refused {
  return { kind: 'deny', rule, code, reason };
}
