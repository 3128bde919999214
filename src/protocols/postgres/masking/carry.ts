/**
 * Statements that would take values of a masked column to where nobody knows them any more: into another table or view, a
 * setting, a notification, a file, under another name, or into the hands of code that is not read here.
 *
 * By the parser's tree and on the safe side. A condition takes nothing, and neither does setting the column itself.
 */

import { effectOfFunction, readsAnyTable, STATEMENTS } from '../effects.ts';
import { isNode, type Node, parse } from '../parser.ts';
import { listOf, nodesOf, stringOf, targetOf } from '../tree.ts';
import type { Catalog } from './catalog.ts';
import type { ColumnRules } from './column-rules.ts';
import { factsOfNodes, type StatementFacts } from './touch.ts';

/** What a text would carry elsewhere. */
export interface Carried {
  /** DO, functions, triggers, rules. */
  readonly bringsCode: boolean;
  /** Columns that get another name, be it in a table they are inherited from, or in its type: what they were and what they are. */
  readonly renamed: readonly (readonly [string, string])[];
  /** What is read for each place that something is written to. */
  readonly parts: readonly StatementFacts[];
}

/** Null where the text is not understood. @param text as parse() takes it */
export function carriedBy(text: Buffer): Carried | null {
  const parsed = parse(text);
  if (parsed.kind !== 'statements') return null;
  const reader = new Reader();
  for (const { stmt } of parsed.statements) reader.statement(stmt);
  return { bringsCode: reader.bringsCode, renamed: reader.renamed, parts: reader.parts };
}

export function carriesSomething({ bringsCode, renamed, parts }: Carried): boolean {
  return bringsCode || renamed.length > 0 || parts.length > 0;
}

/** Whether it may be a value of a column that the rules mean. */
export function carriesColumn(carried: Carried, columns: ColumnRules, catalog: Catalog | null): boolean {
  if (!columns.meanSomething(catalog)) return false;
  const renames = columns.rules.some((rule) =>
    carried.renamed.some(([before, after]) => rule.meansColumn(before) && !rule.meansColumn(after)),
  );
  return renames || carried.bringsCode || carried.parts.some((part) => columns.anyTouched(part, catalog));
}

/** Of those that make a type, an operator and the like only some name functions. */
const DEFINED: ReadonlySet<unknown> = new Set(['OBJECT_AGGREGATE', 'OBJECT_OPERATOR', 'OBJECT_TYPE']);
/** Calling what is there is not bringing it. */
const CALLS: ReadonlySet<string> = new Set([
  'CallStmt',
  'AlterFunctionStmt',
  'CreateFdwStmt',
  'AlterFdwStmt',
]);
/** What stands elsewhere, or the same database by another way, comes in as tables of another name. */
const FOREIGN: ReadonlySet<string> = new Set([
  'CreateForeignTableStmt',
  'ImportForeignSchemaStmt',
  'CreateSubscriptionStmt',
]);
/** With them rows of a table become those of another, or are no longer. */
const OF_PARENTS: ReadonlySet<unknown> = new Set([
  'AT_AddInherit',
  'AT_DropInherit',
  'AT_AttachPartition',
  'AT_DetachPartition',
]);
/** Where they take a value from, they keep or send it. */
const KEEPING: ReadonlySet<unknown> = new Set(['session', 'write', 'server-file', 'foreign']);

class Reader {
  bringsCode = false;
  readonly renamed: (readonly [string, string])[] = [];
  readonly parts: StatementFacts[] = [];
  #last: unknown = null;

  statement(root: unknown): void {
    for (const at of nodesOf(root)) {
      this.#call(at, root);
      if (isNode(at['intoClause'])) this.#allOf(root);
      // A default is worked out in statements that do not show it.
      const { Constraint: constraint } = at;
      if (isNode(constraint) && constraint['contype'] === 'CONSTR_DEFAULT')
        this.#part(constraint['raw_expr']);
      for (const [key, value] of Object.entries(at))
        if (key.endsWith('Stmt') && isNode(value)) this.#kind(key, value);
    }
  }

  #part(...nodes: readonly unknown[]): void {
    this.parts.push(factsOfNodes(nodes));
  }

  /** All columns of what is named. */
  #whole(...nodes: readonly unknown[]): void {
    this.parts.push({ ...factsOfNodes(nodes), takesAll: true });
  }

  #kind(kind: string, node: Node): void {
    const effects: readonly string[] = Object.hasOwn(STATEMENTS, kind) ? (STATEMENTS[kind] ?? []) : [];
    if (effects.includes('code') && !CALLS.has(kind))
      this.bringsCode ||= kind !== 'DefineStmt' || DEFINED.has(node['kind']);
    if (FOREIGN.has(kind)) this.bringsCode = true;
    switch (kind) {
      case 'InsertStmt':
        this.#part(node['selectStmt'], node['withClause']);
        if (isNode(node['onConflictClause']))
          this.#set(node, node['onConflictClause']['targetList'], null, 'excluded');
        break;
      case 'UpdateStmt':
        this.#set(node, node['targetList'], node['fromClause'] ?? null);
        break;
      case 'MergeStmt':
        this.#merge(node);
        break;
      case 'CreateTableAsStmt':
        // What EXECUTE gives was prepared before.
        if (isNode(node['query']) && 'ExecuteStmt' in node['query']) this.bringsCode = true;
        this.#part({ CreateTableAsStmt: node });
        break;
      case 'ViewStmt':
        this.#part({ ViewStmt: node });
        break;
      case 'CopyStmt':
        // Who knows what a program says.
        if (node['is_from'] === true && node['is_program'] === true) this.bringsCode = true;
        if (node['is_from'] !== true && (node['is_program'] === true || typeof node['filename'] === 'string'))
          this.#whole({ CopyStmt: node });
        break;
      case 'AlterTableStmt':
        for (const item of listOf(node['cmds'])) {
          const command = isNode(item) ? item['AlterTableCmd'] : undefined;
          const isOfParents = isNode(command) && OF_PARENTS.has(command['subtype']);
          if (isOfParents) this.#whole(node['relation'], command['def']);
        }
        this.#part(node['relation'], node['cmds']);
        break;
      case 'RenameStmt':
      case 'AlterObjectSchemaStmt':
        if (node['renameType'] === 'OBJECT_SCHEMA')
          this.#whole({ relname: '*', schemaname: node['subname'] });
        else if (isNode(node['relation'])) this.#whole(node['relation']);
        if (node['renameType'] === 'OBJECT_COLUMN' || node['renameType'] === 'OBJECT_ATTRIBUTE')
          this.renamed.push([String(node['subname']), String(node['newname'])]);
        break;
    }
  }

  /**
   * Values that columns of a relation are set to. A column's own value stays where it is.
   * @param judged what the row is called that has been judged as it is inserted
   */
  #set(statement: Node, targets: unknown, from: unknown, judged: string | null = null): void {
    if (from !== null || JSON.stringify(targets).includes('"SubLink"')) {
      this.#part(statement['relation'], targets, from, statement['withClause']);
      return;
    }
    for (const item of listOf(targets)) {
      const { name, val } = targetOf(item) ?? {};
      const references = referencesIn(val).filter(
        (fields) =>
          (judged === null || fields[0] !== judged) && (fields.length === 0 || fields.at(-1) !== name),
      );
      const calls = callsOf(val);
      if (references.length + calls.length > 0)
        this.#part(statement['relation'], references.map(columnRef), calls);
    }
  }

  #merge(merge: Node): void {
    const own = isNode(merge['relation']) ? merge['relation'] : {};
    const alias = isNode(own['alias']) ? own['alias']['aliasname'] : undefined;
    const names = new Set([own['relname'], alias]);
    const clauses = listOf(merge['mergeWhenClauses']).map((item) =>
      isNode(item) && isNode(item['MergeWhenClause']) ? item['MergeWhenClause'] : {},
    );
    const sets = clauses.map((clause) => [clause['targetList'], clause['values']]);
    this.#part(merge['sourceRelation'], merge['withClause'], ...sets);
    for (const target of clauses.flatMap((clause) => listOf(clause['targetList']))) {
      const { name, val } = targetOf(target) ?? {};
      const references = referencesIn(val).filter(
        (fields) => fields.at(-1) !== name && (fields.length < 2 || names.has(fields.at(-2))),
      );
      if (references.length > 0) this.#part(own, references.map(columnRef));
    }
  }

  /** A setting, a notification, a large object made of something that is worked out. */
  #call(node: Node, root: unknown): void {
    const { funcname, args } = node;
    if (!Array.isArray(funcname)) return;
    const name = stringOf(funcname.at(-1));
    if (name === null || !KEEPING.has(effectOfFunction(name))) return;
    if (readsAnyTable(name) || !listOf(args).every(isSaid)) this.#allOf(root);
  }

  /** The statement as a whole, once. */
  #allOf(root: unknown): void {
    if (this.#last === root) return;
    this.#last = root;
    this.#part(root);
  }
}

/** A constant, or a value the agent gives with the statement. */
function isSaid(argument: unknown): boolean {
  if (!isNode(argument)) return false;
  const cast = isNode(argument['TypeCast']) ? argument['TypeCast']['arg'] : argument;
  return isNode(cast) && ('A_Const' in cast || 'ParamRef' in cast);
}

/** Names of the columns in an expression; null is a star. */
function referencesIn(root: unknown): (string | null)[][] {
  const found: (string | null)[][] = [];
  for (const { ColumnRef: reference } of nodesOf(root))
    if (isNode(reference)) found.push(listOf(reference['fields']).map(stringOf));
  return found;
}

function columnRef(fields: readonly (string | null)[]): Node {
  const nodes = fields.map((name) => (name === null ? { A_Star: {} } : { String: { sval: name } }));
  return { ColumnRef: { fields: nodes } };
}

/** Calls of functions, without what is given to them: some take a statement. */
function callsOf(root: unknown): Node[] {
  const found: Node[] = [];
  for (const { funcname } of nodesOf(root)) {
    if (!Array.isArray(funcname)) continue;
    const last: unknown = funcname.at(-1);
    if (effectOfFunction(stringOf(last) ?? '') !== null) found.push({ FuncCall: { funcname: [last] } });
  }
  return found;
}
