/**
 * Why a question is answered as it is, rule by rule, for `sluice policy explain`. The answer is `decide()`'s
 * own, and each rule is judged by the same function, so what is explained is what happens.
 */
import { decide } from './decide.ts';
import { maskRules } from './masks.ts';
import { type Match, matchDestination, type View, viewOf } from './match.ts';
import { PreparedPolicy, type PreparedRule, preparePolicy, speaksOf } from './prepare.ts';
import type { CompiledMask, CompiledPolicy, ConnectAnswer, FlowQuestion } from './types.ts';

export interface DestinationExplanation {
  /** `*` for a rule without destinations. */
  readonly destination: string;
  readonly match: Match;
  /** One sentence. */
  readonly why: string;
}

export interface RuleExplanation {
  readonly rule: string;
  readonly action: 'allow' | 'deny' | 'exempt';
  /** `maybe`: it depends on the agent's first bytes. */
  readonly matched: 'yes' | 'maybe' | 'no';
  /** This rule made the answer. */
  readonly decisive: boolean;
  /** One sentence: why it fits or not, of the destination that came nearest. */
  readonly why: string;
  readonly destinations: readonly DestinationExplanation[];
}

export interface MaskExplanation {
  readonly mask: string;
  /** Whether it is in force inside such a flow, by agent, address and port. */
  readonly holds: boolean;
  readonly direction: 'requests' | 'responses' | 'both';
  /** What is masked, in words of the policy. */
  readonly what: string;
  readonly action: string;
  readonly effect: 'mask' | 'observe';
}

export interface Explanation {
  readonly answer: ConnectAnswer;
  readonly rules: readonly RuleExplanation[];
  readonly masks: readonly MaskExplanation[];
}

export function explain(policy: CompiledPolicy | PreparedPolicy, question: FlowQuestion): Explanation {
  const prepared = policy instanceof PreparedPolicy ? policy : preparePolicy(policy);
  const answer = decide(prepared, question);
  const decisive = answer.kind === 'inspect' ? null : answer.rule;
  const view = viewOf(question);
  const known = prepared.source.agents.some(({ name }) => name === question.agent);
  const agent = known ? question.agent : null;
  return {
    answer,
    rules: prepared.rules.map((rule) => explainRule(rule, agent, view, decisive)),
    masks: explainMasks(prepared, { ...question, agent }),
  };
}

function explainMasks(prepared: PreparedPolicy, question: FlowQuestion): MaskExplanation[] {
  const holding = new Set(maskRules(prepared, question));
  return prepared.source.masks.map((mask) => ({
    mask: mask.name,
    holds: holding.has(mask),
    direction: mask.direction,
    what: whatIsMasked(mask),
    action: actionOf(mask),
    effect: mask.effect,
  }));
}

function whatIsMasked({ detectors, columns, types }: CompiledMask): string {
  const names = columns.map(({ schema, table, column }) =>
    [schema, table, column].filter((part) => part !== null).join('.'),
  );
  const parts = [
    detectors.length === 0 ? 'whole values' : detectors.join(', '),
    names.length === 0 ? '' : `in columns ${names.join(', ')}`,
    types.length === 0 ? '' : `of types ${types.join(', ')}`,
  ];
  return parts.filter((part) => part !== '').join(' ');
}

function actionOf({ action }: CompiledMask): string {
  if (action.kind === 'partial') return `partial, last ${action.keepLast} left`;
  return action.kind === 'hash' ? `hash with key ${action.key}` : action.kind;
}

function explainRule(
  rule: PreparedRule,
  agent: string | null,
  view: View,
  decisive: string | null,
): RuleExplanation {
  const { name, action } = rule.source;
  const base = { rule: name, action, decisive: name === decisive };
  if (!speaksOf(rule.source, agent)) {
    const agents = rule.source.agents.join(', ');
    const why = agents === '' ? 'the process is none of the agents' : `it is for ${agents} only`;
    return { ...base, matched: 'no', why, destinations: [] };
  }
  const destinations = rule.destinations.map((destination) => {
    const match = matchDestination(rule.source, destination, view);
    return { destination: destination.source.name, match, why: WHY[match] };
  });
  const nearest = [...destinations].sort((a, b) => NEARNESS.indexOf(a.match) - NEARNESS.indexOf(b.match))[0];
  const matched = nearest?.match === 'yes' || nearest?.match === 'maybe' ? nearest.match : 'no';
  const why = nearest === undefined ? 'it has no destination' : `${nearest.destination}: ${nearest.why}`;
  return { ...base, matched, why, destinations };
}

const WHY: Readonly<Record<Match, string>> = {
  yes: 'it fits',
  maybe: 'address and port fit; the rest depends on what the agent says first',
  'agent-tls': 'it fits, but the agent speaks TLS itself and the rule has no passthrough',
  replication: 'it fits, but the agent asks for replication and the rule does not have `replication: true`',
  undetected: 'address and port fit, but the protocol was not recognised',
  'no-name': 'address and port fit, but no host name was seen or resolved',
  name: 'the host name is another',
  protocol: 'the protocol is another',
  address: 'the address is another',
  port: 'the port is another',
};

/** From the nearest to fitting to the farthest. */
const NEARNESS = Object.keys(WHY);
