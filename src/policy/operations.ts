/**
 * What policy says to an operation inside a flow. Pure, like decide().
 *
 * Which rules there are for a flow is settled once, with its connect decision; without any, nobody needs to read the
 * flow. A rule counts for a flow unless it certainly means another server, so that no way of reaching one (another
 * destination for the same address, bytes wrapped unread) leads around its rules.
 */
import type { ObjectName, Operation } from '../flow/operation.ts';
import { type Match, matchDestination, viewOf } from './match.ts';
import { mayMean, surelyMeans } from './name-pattern.ts';
import type { PreparedOperationRule, PreparedPolicy } from './prepare.ts';
import type { CompiledOperationRule, FlowQuestion, NamePattern } from './types.ts';

export interface OperationAnswer {
  /** The first rule that denies it; null: it may pass. */
  readonly denied: CompiledOperationRule | null;
  /** Whether a rule that only observes fits. */
  readonly observed: boolean;
}

const CERTAINLY_ANOTHER: ReadonlySet<Match> = new Set(['port', 'address', 'protocol', 'name']);

/** The rules about operations of this flow, in the order of the document. */
export function operationRules(
  policy: PreparedPolicy,
  question: FlowQuestion,
): readonly CompiledOperationRule[] {
  if (policy.operations.length === 0) return [];
  const view = viewOf(question);
  const fits = ({ source, destinations }: PreparedOperationRule): boolean =>
    (source.agents.length === 0 || source.agents.includes(question.agent ?? '')) &&
    destinations.some(
      (destination) =>
        !CERTAINLY_ANOTHER.has(matchDestination({ action: 'deny', passthrough: false }, destination, view)),
    );
  return policy.operations.filter(fits).map(({ source }) => source);
}

export function judgeOperation(
  rules: readonly CompiledOperationRule[],
  operation: Operation,
): OperationAnswer {
  let denied: CompiledOperationRule | null = null;
  let observed = false;
  for (const rule of rules) {
    if (!fitsOperation(rule, operation)) continue;
    if (rule.action === 'observe') observed = true;
    else denied ??= rule;
  }
  return { denied, observed };
}

export function fitsOperation(rule: CompiledOperationRule, operation: Operation): boolean {
  const { effects, relations, relationsOtherThan, functions } = rule;
  if (effects.length > 0 && !effects.some((effect) => operation.effects.has(effect))) return false;
  if (relations.length > 0 && !anyMeant(relations, operation.relations)) return false;
  if (functions.length > 0 && !anyMeant(functions, operation.functions)) return false;
  if (relationsOtherThan === null) return true;
  return operation.relations.some(
    (relation) => !relationsOtherThan.some((pattern) => surelyMeans(pattern, relation)),
  );
}

function anyMeant(patterns: readonly NamePattern[], objects: readonly ObjectName[]): boolean {
  return objects.some((object) => patterns.some((pattern) => mayMean(pattern, object)));
}
