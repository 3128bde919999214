/**
 * Which rules about the content of flows (operations, masks) there are for a flow. A rule counts unless it certainly means
 * another server, so that no way of reaching one (another destination for the same address, bytes wrapped unread) leads
 * around its rules.
 */
import { type Match, matchDestination, viewOf } from './match.ts';
import type { PreparedContentRule } from './prepare.ts';
import type { FlowQuestion } from './types.ts';

const CERTAINLY_ANOTHER: ReadonlySet<Match> = new Set(['port', 'address', 'protocol', 'name']);

/** Whatever the agent speaks is meant. */
const ANY_RULING = { action: 'deny', passthrough: false, replication: false } as const;

/** What all such rules have. */
export interface ContentRule {
  /** Names of agents; empty: any agent. */
  readonly agents: readonly string[];
  readonly destinations: readonly string[];
}

/** In the order of the document. */
export function contentRules<Rule extends ContentRule>(
  rules: readonly PreparedContentRule<Rule>[],
  question: FlowQuestion,
): readonly Rule[] {
  if (rules.length === 0) return [];
  const view = viewOf(question);
  const fits = ({ source, destinations }: PreparedContentRule<Rule>): boolean =>
    (source.agents.length === 0 || source.agents.includes(question.agent ?? '')) &&
    destinations.some(
      (destination) => !CERTAINLY_ANOTHER.has(matchDestination(ANY_RULING, destination, view)),
    );
  return rules.filter(fits).map(({ source }) => source);
}
