/**
 * Whom an agent may serve. The kernel decides by the table made here; `decideInbound()` is the same decision for
 * `policy explain`, over the same table, so that an explanation cannot differ from what happens.
 *
 * Default deny; there is one action, `exempt`, so the first rule that fits gives its name and none can take back
 * what another allows. Loopback is no exception: who asks from this host is named by its address like anybody.
 */
import { INBOUND_MAX, type InboundRange } from '../kernel/inbound.ts';
import { addressKey } from './address.ts';
import { inPorts } from './ports.ts';
import type { CompiledInbound, CompiledPolicy } from './types.ts';

const PROTOCOL_NUMBERS = { tcp: 6, udp: 17 } as const;

/** How many entries of the kernel's table a rule takes, for each of its agents. */
export function inboundSize(rule: Pick<CompiledInbound, 'ports' | 'ranges'>): number {
  return rule.ports.length * rule.ranges.length;
}

export { INBOUND_MAX };

/** Entries for one agent, in the order of the document. */
export function inboundRanges(policy: Pick<CompiledPolicy, 'inbound'>, agent: string): InboundRange[] {
  return policy.inbound
    .filter((rule) => rule.agents.includes(agent))
    .flatMap((rule) =>
      rule.ports.flatMap((ports) =>
        rule.ranges.map((addresses) => ({
          rule: rule.id,
          protocol: PROTOCOL_NUMBERS[rule.protocol],
          ports,
          addresses,
        })),
      ),
    );
}

export interface InboundQuestion {
  /** Agent name; null for a process that is enrolled but none of the policy's agents. */
  readonly agent: string | null;
  readonly protocol: 'tcp' | 'udp';
  /** The agent's. */
  readonly port: number;
  /** Address of who asks. */
  readonly from: string;
}

export interface InboundAnswer {
  readonly kind: 'allow' | 'deny';
  readonly rule: string | null;
  /** Why, in a sentence. */
  readonly reason: string;
}

export function decideInbound(
  policy: Pick<CompiledPolicy, 'inbound'>,
  question: InboundQuestion,
): InboundAnswer {
  const { agent, protocol, port, from } = question;
  const key = addressKey(from);
  const ranges = agent === null || key === null ? [] : inboundRanges(policy, agent);
  const fits = ranges.find(
    (range) =>
      range.protocol === PROTOCOL_NUMBERS[protocol] &&
      inPorts([range.ports], port) &&
      key !== null &&
      key >= range.addresses[0] &&
      key <= range.addresses[1],
  );
  const rule = policy.inbound.find(({ id }) => id === fits?.rule);
  if (rule === undefined)
    return { kind: 'deny', rule: null, reason: 'no inbound rule lets the agent serve there' };
  return { kind: 'allow', rule: rule.name, reason: rule.reason };
}

export interface InboundRuleExplanation {
  readonly rule: string;
  readonly matched: 'yes' | 'no';
  readonly decisive: boolean;
  /** One sentence. */
  readonly why: string;
}

export interface InboundExplanation {
  readonly answer: InboundAnswer;
  readonly rules: readonly InboundRuleExplanation[];
}

/** Asks each rule alone, so that what is said of it is what it would decide. */
export function explainInbound(policy: CompiledPolicy, question: InboundQuestion): InboundExplanation {
  const answer = decideInbound(policy, question);
  const rules = policy.inbound.map((rule) => ({
    rule: rule.name,
    matched:
      decideInbound({ inbound: [rule] }, question).kind === 'allow' ? ('yes' as const) : ('no' as const),
    decisive: rule.name === answer.rule,
    why: whyNot(rule, question) ?? `it fits: ${rule.reason}`,
  }));
  return { answer, rules };
}

function whyNot(rule: CompiledInbound, question: InboundQuestion): string | null {
  if (question.agent === null || !rule.agents.includes(question.agent))
    return `it is for ${rule.agents.join(', ')} only`;
  if (rule.protocol !== question.protocol) return `it is for ${rule.protocol} only`;
  if (!inPorts(rule.ports, question.port)) return 'the port is another';
  if (decideInbound({ inbound: [rule] }, question).kind === 'deny') return 'the address is another';
  return null;
}
