/** Rules about operations for tests, as they are when compiled. */
import type { CompiledOperationRule } from '#src/policy/types.ts';

/** Denies what destroys tables, for every agent, unless `change` says otherwise. */
export function operationRule(change: Partial<CompiledOperationRule> = {}): CompiledOperationRule {
  return {
    name: 'r',
    agents: [],
    destinations: ['db'],
    effects: ['schema-destruction'],
    relations: [],
    relationsOtherThan: null,
    functions: [],
    columns: [],
    columnsOtherThan: null,
    action: 'deny',
    holdTimeoutMs: null,
    reason: null,
    ...change,
  };
}
