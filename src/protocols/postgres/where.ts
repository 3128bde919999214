/**
 * Whether the condition of an UPDATE or DELETE picks rows, or lets all of them through: the difference between a change
 * and an accident. No proof: `id > 0` picks rows here and may be true of all.
 */
import { isNode, type Node } from './parser.ts';

/** Deeper conditions are taken for ones that pick nothing. */
const DEPTH_MAX = 64;

const TAKES_ROWS: ReadonlySet<string> = new Set(['CMD_UPDATE', 'CMD_DELETE']);

export function isUnbounded(where: unknown): boolean {
  return !picks(where, 0);
}

/**
 * Whether a MERGE changes or deletes rows that nothing picks. Both the condition of the join and that of the clause may
 * pick; rows that are not matched by the source are picked by the clause alone.
 */
export function isUnboundedMerge(merge: Node): boolean {
  const clauses = Array.isArray(merge['mergeWhenClauses']) ? merge['mergeWhenClauses'] : [];
  return clauses.some((item: unknown) => {
    const clause = isNode(item) ? item['MergeWhenClause'] : undefined;
    if (!isNode(clause) || !TAKES_ROWS.has(String(clause['commandType']))) return false;
    const joined = clause['matchKind'] === 'MERGE_WHEN_MATCHED' && !isUnbounded(merge['joinCondition']);
    return !joined && isUnbounded(clause['condition']);
  });
}

function picks(condition: unknown, depth: number): boolean {
  if (!isNode(condition) || depth > DEPTH_MAX) return false;
  const { BoolExpr: bool, A_Expr: comparison, NullTest: nullTest } = condition;
  // WHERE CURRENT OF a cursor is one row.
  if (isNode(condition['CurrentOfExpr'])) return true;
  if (isNode(bool)) {
    const args = Array.isArray(bool['args']) ? bool['args'] : [];
    const each = (arg: unknown): boolean => picks(arg, depth + 1);
    // NOT (a IS NULL) is a IS NOT NULL.
    if (bool['boolop'] === 'NOT_EXPR') return args.some((arg) => !isNullTest(arg) && each(arg));
    return bool['boolop'] === 'OR_EXPR' ? args.every(each) : args.some(each);
  }
  if (isNode(nullTest)) return nullTest['nulltesttype'] === 'IS_NULL' && hasColumn(nullTest);
  if (isNode(comparison)) {
    const { lexpr, rexpr } = comparison;
    return hasColumn(comparison) && !othersOf(rexpr, comparison['kind']).some((other) => alike(lexpr, other));
  }
  return hasColumn(condition);
}

function hasColumn(root: unknown): boolean {
  const waiting: unknown[] = [root];
  while (waiting.length > 0) {
    const at = waiting.pop();
    if (typeof at !== 'object' || at === null) continue;
    if (isNode(at) && isNode(at['ColumnRef'])) return true;
    // One by one: a list may be longer than a call may have arguments.
    for (const value of Object.values(at)) waiting.push(value);
  }
  return false;
}

/** What is compared with: `id IN (1, id)` and `id = ANY (ARRAY[id])` are true of all; BETWEEN only where both ends are it. */
function othersOf(right: unknown, kind: unknown): readonly unknown[] {
  const list = isNode(right) ? (right['List'] ?? right['A_ArrayExpr']) : undefined;
  const items = isNode(list) ? (list['items'] ?? list['elements']) : undefined;
  if (!Array.isArray(items)) return [right];
  if (!String(kind).startsWith('AEXPR_BETWEEN')) return items;
  return alike(items[0], items[1]) ? items : [];
}

function isNullTest(condition: unknown): boolean {
  const test = isNode(condition) ? condition['NullTest'] : undefined;
  return isNode(test) && test['nulltesttype'] === 'IS_NULL';
}

/** Whether two expressions are written alike. Without recursion: they may be as deep as the text is long. */
function alike(left: unknown, right: unknown): boolean {
  const waiting: (readonly [unknown, unknown])[] = [[left, right]];
  for (let pair = waiting.pop(); pair !== undefined; pair = waiting.pop()) {
    const [a, b] = pair;
    if (!isTree(a) || !isTree(b)) {
      if (a !== b) return false;
      continue;
    }
    for (const key of new Set([...Object.keys(a), ...Object.keys(b)]))
      if (key !== 'location') waiting.push([a[key], b[key]]);
  }
  return true;
}

function isTree(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
