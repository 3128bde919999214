/**
 * What policy says to an operation inside a flow. Pure, like decide().
 *
 * Which rules there are for a flow is settled once, with its connect decision; without any, nobody needs to read the
 * flow.
 */
import type { ColumnName, ObjectName, Operation } from '../flow/operation.ts';
import { contentRules } from './content-rules.ts';
import { mayMean, mayMeanColumn, surelyMeans, surelyMeansColumn } from './name-pattern.ts';
import type { PreparedPolicy } from './prepare.ts';
import type { ColumnPattern, CompiledOperationRule, FlowQuestion, NamePattern } from './types.ts';

export interface OperationAnswer {
  /** The first rule that denies it; null: it may pass. */
  readonly denied: CompiledOperationRule | null;
  /** Those by which somebody is to be asked, unless it is denied. */
  readonly held: readonly CompiledOperationRule[];
  /** Whether a rule that only observes fits. */
  readonly observed: boolean;
}

/** The rules about operations of this flow, in the order of the document. */
export function operationRules(
  policy: PreparedPolicy,
  question: FlowQuestion,
): readonly CompiledOperationRule[] {
  return contentRules(policy.operations, question);
}

export function judgeOperation(
  rules: readonly CompiledOperationRule[],
  operation: Operation,
): OperationAnswer {
  let denied: CompiledOperationRule | null = null;
  let held = NONE;
  let observed = false;
  for (const rule of rules) {
    if (!fitsOperation(rule, operation)) continue;
    if (rule.action === 'observe') observed = true;
    else if (rule.action === 'hold') held = [...held, rule];
    else denied ??= rule;
  }
  return { denied, held, observed };
}

const NONE: readonly CompiledOperationRule[] = [];

/** A key of a rule, as documents have it. */
export type OperationCondition =
  | 'effects'
  | 'relations'
  | 'relations_other_than'
  | 'functions'
  | 'columns'
  | 'columns_other_than';

export function fitsOperation(rule: CompiledOperationRule, operation: Operation): boolean {
  return unmetCondition(rule, operation) === null;
}

/** The first condition of the rule that does not hold of the operation; null: it fits. */
export function unmetCondition(rule: CompiledOperationRule, operation: Operation): OperationCondition | null {
  const { effects, relations, relationsOtherThan, functions, columns, columnsOtherThan } = rule;
  if (effects.length > 0 && !effects.some((effect) => operation.effects.has(effect))) return 'effects';
  if (relations.length > 0 && !anyMeant(relations, operation.relations)) return 'relations';
  if (functions.length > 0 && !anyMeant(functions, operation.functions)) return 'functions';
  if (columns.length > 0 && !anyColumn(columns, operation.columns)) return 'columns';
  if (relationsOtherThan !== null && surelyAll(relationsOtherThan, operation.relations, surelyMeans))
    return 'relations_other_than';
  if (columnsOtherThan !== null && surelyAll(columnsOtherThan, operation.columns, surelyMeansColumn))
    return 'columns_other_than';
  return null;
}

/** Whether each of what a statement names is certainly one of a list. */
function surelyAll<Pattern, Thing>(
  patterns: readonly Pattern[],
  named: readonly Thing[],
  means: (pattern: Pattern, thing: Thing) => boolean,
): boolean {
  return named.every((thing) => patterns.some((pattern) => means(pattern, thing)));
}

function anyColumn(patterns: readonly ColumnPattern[], columns: readonly ColumnName[]): boolean {
  // A star of a statement may mean any column.
  const views = columns.map((each) => ({ ...each, column: each.column === '*' ? null : each.column }));
  return views.some((column) => patterns.some((pattern) => mayMeanColumn(pattern, column)));
}

function anyMeant(patterns: readonly NamePattern[], objects: readonly ObjectName[]): boolean {
  return objects.some((object) => patterns.some((pattern) => mayMean(pattern, object)));
}
