/** What each rule about operations says to one, for `sluice policy explain --statement`: by the function that judges them. */
import type { Operation } from '../flow/operation.ts';
import { judgeOperation, type OperationCondition, unmetCondition } from './operations.ts';
import type { CompiledOperationRule } from './types.ts';

export interface OperationRuleExplanation {
  readonly rule: string;
  readonly action: CompiledOperationRule['action'];
  /** Whether it is in force inside such a flow, by agent, address and port. */
  readonly holds: boolean;
  readonly fits: boolean;
  /** This rule denies the operation, or holds it where none denies it. */
  readonly decisive: boolean;
  /** One sentence. */
  readonly why: string;
}

/**
 * @param all of the policy. @param holding those of them that are in force for the flow
 */
export function explainOperation(
  all: readonly CompiledOperationRule[],
  holding: readonly CompiledOperationRule[],
  operation: Operation,
): OperationRuleExplanation[] {
  const { denied, held } = judgeOperation(holding, operation);
  const decisive = denied === null ? held : [denied];
  return all.map((rule) => {
    const holds = holding.includes(rule);
    const unmet = unmetCondition(rule, operation);
    const why = holds ? (unmet === null ? 'it fits' : WHY[unmet]) : 'it is for other agents or servers';
    return {
      rule: rule.name,
      action: rule.action,
      holds,
      fits: holds && unmet === null,
      decisive: decisive.includes(rule),
      why,
    };
  });
}

const WHY: Readonly<Record<OperationCondition, string>> = {
  effects: 'it has none of these effects',
  relations: 'it names none of these relations',
  relations_other_than: 'it names no other relations',
  functions: 'it calls none of these functions',
  columns: 'it takes none of these columns',
  columns_other_than: 'it takes no other columns',
};
