/**
 * Which columns of which relations a statement takes or sets, as far as its text makes it plain.
 *
 * On the safe side throughout, so that a list of what is allowed can be kept by it: a star, a row as a whole, columns by
 * other names and every statement that is not plainly about columns mean all columns (`*`) of what they name; a column that
 * may be of several relations counts as one of each. Scopes are not followed: an alias is good for the whole statement.
 */
import type { ColumnName, ObjectName } from '../../flow/operation.ts';
import { isNode, type Node } from './parser.ts';
import { listOf, nodesOf, relationOf, stringOf, targetName } from './tree.ts';

/** Of a statement with more, columns have no relation that is known: the work stays linear. */
const RELATIONS_MAX = 64;

const ALL = '*';

/** They say for each column that they take or set which it is. */
const PLAIN: ReadonlySet<string> = new Set([
  'SelectStmt',
  'InsertStmt',
  'UpdateStmt',
  'DeleteStmt',
  'CopyStmt',
  'PrepareStmt',
  'ExplainStmt',
  'DeclareCursorStmt',
]);
const DERIVED = ['RangeSubselect', 'RangeFunction', 'RangeTableFunc', 'JsonTable'] as const;

/** @param root of one statement. @param named what else it names, where that is no place in FROM (`DROP TABLE t`) */
export function columnsOf(root: Node, named: readonly ObjectName[] = []): readonly ColumnName[] {
  const reader = new Reader();
  for (const { schema, name } of named) reader.relation(schema, name);
  for (const node of nodesOf(root)) reader.relationsIn(node);
  for (const node of nodesOf(root)) reader.columnsIn(node);
  return reader.columns();
}

class Reader {
  /** Each once. */
  readonly #relations = new Map<string, ObjectName>();
  /** By alias, or by its own name. */
  readonly #byName = new Map<string, Set<ObjectName>>();
  /** Names of subqueries and functions in FROM: what they take is found inside of them. */
  readonly #derived = new Set<string>();
  /** Names of joins: what they stand for may be of any relation. */
  readonly #joins = new Set<string>();
  /** ORDER BY the name of a column of the result. */
  readonly #sortedByResult = new Set<unknown>();
  readonly #columns = new Map<string, ColumnName>();
  #takesAll = false;

  columns(): readonly ColumnName[] {
    if (this.#takesAll) for (const relation of this.#relations.values()) this.#add(relation, ALL);
    return [...this.#columns.values()];
  }

  relationsIn(node: Node): void {
    const named = relationOf(node);
    if (named !== null)
      this.#name(aliasOf(node['alias']) ?? named.name, this.relation(named.schema, named.name));
    for (const kind of DERIVED) {
      const derived = isNode(node[kind]) ? aliasOf(node[kind]['alias']) : null;
      if (derived !== null) this.#derived.add(derived);
    }
    const join = node['JoinExpr'];
    if (isNode(join))
      for (const name of [aliasOf(join['alias']), aliasOf(join['join_using_alias'])])
        if (name !== null) this.#joins.add(name);
    // Columns by other names: `people AS p (a, b)`, `WITH p (a, b) AS …`.
    if (Array.isArray(node['colnames']) || Array.isArray(node['aliascolnames'])) this.#takesAll = true;
    const insert = node['InsertStmt'];
    if (isNode(insert) && isNode(insert['relation'])) this.#name('excluded', this.#target(insert));
    if (isNode(node['SelectStmt'])) this.#sorting(node['SelectStmt']);
    for (const key of Object.keys(node))
      if (/^[A-Z]\w*Stmt$/.test(key) && !PLAIN.has(key)) this.#takesAll = true;
  }

  columnsIn(node: Node): void {
    const { ColumnRef: reference, JoinExpr: join, InsertStmt: insert, UpdateStmt: update } = node;
    if (isNode(reference) && !this.#sortedByResult.has(reference))
      this.#reference(fieldsOf(reference['fields']));
    if (isNode(join)) {
      if (join['isNatural'] === true) this.#takesAll = true;
      for (const name of fieldsOf(join['usingClause'])) this.#ofAny(name);
    }
    if (isNode(insert)) this.#inserted(insert);
    if (isNode(update)) this.#set(this.#target(update), update['targetList']);
    const { DeleteStmt: gone, CopyStmt: copy, IndexElem: key } = node;
    if (isNode(gone)) this.#add(this.#target(gone), ALL);
    if (isNode(copy) && isNode(copy['relation'])) {
      const names = fieldsOf(copy['attlist']);
      for (const name of names.length === 0 ? [ALL] : names) this.#add(this.#target(copy), name);
    }
    if (isNode(key) && typeof key['name'] === 'string') this.#ofAny(key['name']);
  }

  relation(schema: string | null, name: string): ObjectName {
    const key = JSON.stringify([schema, name]);
    const known = this.#relations.get(key);
    if (known !== undefined) return known;
    const relation = { schema, name };
    this.#relations.set(key, relation);
    return relation;
  }

  #name(name: string, relation: ObjectName): void {
    const known = this.#byName.get(name);
    if (known === undefined) this.#byName.set(name, new Set([relation]));
    else known.add(relation);
  }

  /** The relation a statement changes. */
  #target(statement: Node): ObjectName {
    const { schemaname, relname } = isNode(statement['relation']) ? statement['relation'] : {};
    return this.relation(typeof schemaname === 'string' ? schemaname : null, String(relname));
  }

  #sorting(select: Node): void {
    const names = new Set(listOf(select['targetList']).map((item) => targetName(item)));
    for (const item of listOf(select['sortClause'])) {
      const by = isNode(item) && isNode(item['SortBy']) ? item['SortBy']['node'] : undefined;
      const reference = isNode(by) ? by['ColumnRef'] : undefined;
      const [name, ...others] = isNode(reference) ? fieldsOf(reference['fields']) : [];
      if (name !== undefined && others.length === 0 && names.has(name)) this.#sortedByResult.add(reference);
    }
  }

  #inserted(insert: Node): void {
    const target = this.#target(insert);
    if (Array.isArray(insert['cols'])) this.#set(target, insert['cols']);
    else this.#add(target, ALL);
    const conflict = insert['onConflictClause'];
    if (isNode(conflict)) this.#set(target, conflict['targetList']);
  }

  #set(relation: ObjectName, targets: unknown): void {
    for (const target of listOf(targets)) this.#add(relation, targetName(target) ?? ALL);
  }

  #reference(fields: readonly string[]): void {
    const name = fields.at(-1) ?? ALL;
    const qualifier = fields.at(-2);
    if (qualifier !== undefined) {
      const relations = this.#byName.get(qualifier);
      for (const relation of relations ?? []) this.#add(relation, name);
      if (this.#joins.has(qualifier)) this.#ofAny(name);
      // Nothing that was named: it is taken for the worst.
      else if (relations === undefined && !this.#derived.has(qualifier)) this.#takesAll = true;
      return;
    }
    // A row as a whole, or a column that is named so.
    const rows = this.#byName.get(name);
    for (const relation of rows ?? []) this.#add(relation, ALL);
    if (this.#joins.has(name)) this.#takesAll = true;
    if (rows === undefined) this.#ofAny(name);
  }

  #ofAny(name: string): void {
    if (this.#relations.size > RELATIONS_MAX) this.#add(null, name);
    else for (const relation of this.#relations.values()) this.#add(relation, name);
  }

  #add(relation: ObjectName | null, column: string): void {
    const { schema, name: table } = relation ?? { schema: null, name: null };
    this.#columns.set(JSON.stringify([schema, table, column]), { schema, table, column });
  }
}

function aliasOf(alias: unknown): string | null {
  const node = isNode(alias) ? (isNode(alias['Alias']) ? alias['Alias'] : alias) : {};
  return typeof node['aliasname'] === 'string' ? node['aliasname'] : null;
}

/** Names of a qualified column; a star is one too. */
function fieldsOf(fields: unknown): string[] {
  return listOf(fields).flatMap((field) => {
    if (!isNode(field)) return [];
    if ('A_Star' in field) return [ALL];
    const name = stringOf(field);
    return name === null ? [] : [name];
  });
}
