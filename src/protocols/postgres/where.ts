/**
 * Whether the condition of an UPDATE or DELETE picks rows, or lets all of them through: the difference between a change
 * and an accident. No proof: `id > 0` picks rows here and may be true of all.
 */
import { isNode } from './parser.ts';

/** Deeper conditions are taken for ones that pick nothing. */
const DEPTH_MAX = 64;

export function isUnbounded(where: unknown): boolean {
  return !picks(where, 0);
}

function picks(condition: unknown, depth: number): boolean {
  if (!isNode(condition) || depth > DEPTH_MAX) return false;
  const { BoolExpr: bool, A_Expr: comparison, NullTest: nullTest } = condition;
  // WHERE CURRENT OF a cursor is one row.
  if (isNode(condition['CurrentOfExpr'])) return true;
  if (isNode(bool)) {
    const args = Array.isArray(bool['args']) ? bool['args'] : [];
    const each = (arg: unknown): boolean => picks(arg, depth + 1);
    return bool['boolop'] === 'OR_EXPR' ? args.every(each) : args.some(each);
  }
  if (isNode(nullTest)) return nullTest['nulltesttype'] === 'IS_NULL' && hasColumn(nullTest);
  if (isNode(comparison)) {
    const { lexpr, rexpr } = comparison;
    return hasColumn(comparison) && shapeOf(lexpr) !== shapeOf(rexpr);
  }
  return hasColumn(condition);
}

function hasColumn(root: unknown): boolean {
  const waiting: unknown[] = [root];
  while (waiting.length > 0) {
    const at = waiting.pop();
    if (typeof at !== 'object' || at === null) continue;
    if (isNode(at) && isNode(at['ColumnRef'])) return true;
    waiting.push(...Object.values(at));
  }
  return false;
}

/** Equal for two expressions that are written alike. */
function shapeOf(expression: unknown): string {
  return JSON.stringify(expression ?? null, (key, value: unknown) =>
    key === 'location' ? undefined : value,
  );
}
