/**
 * What stands in FROM and WITH of a statement, by the columns it has and where the values of each come from, as far as the parser's tree
 * says so. Names mean here what they mean to PostgreSQL: the nearest of that name (documentation, "Table Expressions", 7.2, and
 * "WITH Queries", 7.8).
 *
 * Nothing is followed here (origins.ts). What is asked for twice is made once: a tree has one object for each place in the text.
 */
import { isNode, type Node } from '../../parser.ts';
import { listOf, relationOf, stringOf, targetName, targetOf } from '../../tree.ts';
import { oidOfType } from '../types.ts';

/** Where a value comes from. `isOpaque`: what of it becomes the value does not show. */
export type Source =
  /** An expression, and what names in it mean. */
  | { readonly expression: unknown; readonly scope: Scope; readonly isOpaque?: boolean }
  /** Any of these. */
  | { readonly sources: readonly Source[]; readonly isOpaque?: boolean }
  /** Any of what these may be. */
  | { readonly outputs: () => readonly Output[]; readonly isOpaque?: boolean }
  /** From where, nobody has looked. */
  | 'anywhere';

export interface Column {
  /** Null: it may have any. */
  readonly name: string | null;
  readonly sources: readonly Source[];
}

/** Columns of which neither names nor count are known, and all that may be in them. */
export interface Gap {
  readonly gap: readonly Source[];
}

export type Output = Column | Gap;

/** Something of FROM. */
export interface RangeItem {
  readonly alias: string | null;
  /** What a name may mean. */
  columns(): readonly Output[];
  /** What `*` stands for. */
  star(): readonly Output[];
}

interface Cte {
  readonly node: Node;
  readonly scope: Scope;
}

/** What names mean in a part of a statement. */
export interface Scope {
  readonly items: readonly RangeItem[];
  readonly ctes: ReadonlyMap<string, Cte>;
  readonly parent: Scope | null;
  /** Joined by the names of columns: in which order they come in `*` is another. */
  readonly isMerged: boolean;
}

/** PostgreSQL's own (MaxTupleAttributeNumber). */
const COLUMNS_MAX = 1_664;
const NO_CTES: ReadonlyMap<string, Cte> = new Map();
const TABLE: readonly Output[] = [{ gap: [] }];
/** Queries in queries. */
const DEPTH_MAX = 64;
const NOT_LOOKED_AT: readonly Output[] = [{ gap: ['anywhere'] }];

export const NOWHERE: Scope = { items: [], ctes: NO_CTES, parent: null, isMerged: false };

export class RangeItems {
  readonly #scopes = new Map<Node, Scope>();
  readonly #outputs = new Map<Node, readonly Output[]>();
  #depth = 0;

  /** What names mean in a statement, or in a query of one. @param outer what they mean around it */
  enter(kind: string, node: Node, outer: Scope): Scope {
    const known = this.#scopes.get(node);
    if (known !== undefined) return known;
    const base = this.#with(node['withClause'], outer);
    const items: RangeItem[] = [];
    const from = fromOf(node);
    const own = { items, ctes: NO_CTES, parent: base, isMerged: from.some(isMerged) };
    this.#scopes.set(node, own);
    if (kind === 'InsertStmt' || kind === 'UpdateStmt' || kind === 'MergeStmt')
      items.push(this.#written(kind, node, own));
    if (kind === 'InsertStmt') items.push({ ...this.#written(kind, node, own), alias: 'excluded' });
    for (const item of from) this.#join(item, own, items);
    return own;
  }

  /** What names mean in what WITH calls by a name. */
  ofCte(cte: Node, outer: Scope): Scope {
    return this.#scopes.get(cte) ?? outer;
  }

  /** What names mean in a query of FROM: those beside it nothing, without LATERAL. */
  ofSubselect(subselect: Node, scope: Scope): Scope {
    return subselect['lateral'] === true ? scope : around(scope);
  }

  /** What a query, or what else RETURNING makes one, gives. @param query as the tree has it, under its kind */
  outputs(query: unknown, outer: Scope): readonly Output[] {
    const [[kind, node] = ['', null]] = isNode(query) ? Object.entries(query) : [];
    return isNode(node) ? this.#of(kind, node, outer) : [];
  }

  #of(kind: string, node: Node, outer: Scope): readonly Output[] {
    const known = this.#outputs.get(node);
    if (known !== undefined) return known;
    if (this.#depth >= DEPTH_MAX) return NOT_LOOKED_AT;
    // What is recursive has no more columns than without it.
    this.#outputs.set(node, TABLE);
    this.#depth += 1;
    const scope = this.enter(kind, node, outer);
    const made = kind === 'SelectStmt' ? this.#select(node, scope) : this.#listed(returningOf(node), scope);
    this.#depth -= 1;
    this.#outputs.set(node, made);
    return made;
  }

  #select(node: Node, scope: Scope): readonly Output[] {
    const [only, ...others] = branchesOf(node);
    if (others.length === 0) return this.#simple(node, scope);
    const all = [only ?? node, ...others].map((branch) => this.#of('SelectStmt', branch, scope));
    return united(all);
  }

  #simple(node: Node, scope: Scope): readonly Output[] {
    const rows = listOf(node['valuesLists']).map((row) => itemsOf(row));
    return rows.length > 0 ? columnsOfRows(rows, scope) : this.#listed(node['targetList'], scope);
  }

  #listed(targets: unknown, scope: Scope): readonly Output[] {
    const outputs: Output[] = [];
    for (const item of listOf(targets)) {
      outputs.push(...this.#target(item, scope));
      // As many as there cannot be.
      if (outputs.length > COLUMNS_MAX) return NOT_LOOKED_AT;
    }
    return outputs;
  }

  #target(item: unknown, scope: Scope): readonly Output[] {
    const value = targetOf(item)?.['val'];
    const reference = isNode(value) ? value['ColumnRef'] : undefined;
    const fields = isNode(reference) ? listOf(reference['fields']) : [];
    if (isStar(fields.at(-1))) return starOf(fields, scope);
    const source = { expression: value, scope };
    const indirection = isNode(value) ? value['A_Indirection'] : undefined;
    if (isNode(indirection) && listOf(indirection['indirection']).some(isStar))
      return [{ gap: opaque([source]) }];
    return [{ name: targetName(item) ?? stringOf(fields.at(-1)), sources: [source] }];
  }

  #with(clause: unknown, outer: Scope): Scope {
    if (!isNode(clause)) return outer;
    const nodes = listOf(clause['ctes']).flatMap((item) => {
      const node = isNode(item) ? item['CommonTableExpr'] : undefined;
      return isNode(node) ? [node] : [];
    });
    const ctes = new Map<string, Cte>();
    if (clause['recursive'] === true) {
      const scope = { items: [], ctes, parent: outer, isMerged: false };
      for (const node of nodes) {
        this.#scopes.set(node, scope);
        ctes.set(nameOf(node), { node, scope });
      }
      return scope;
    }
    let scope = outer;
    for (const node of nodes) {
      this.#scopes.set(node, scope);
      const own = new Map([[nameOf(node), { node, scope }]]);
      scope = { items: [], ctes: own, parent: scope, isMerged: false };
    }
    return scope;
  }

  /** All that is joined, in its order. What has a name as a whole stands for all of it. */
  #join(root: unknown, scope: Scope, items: RangeItem[]): void {
    const waiting = [root];
    while (waiting.length > 0) {
      const item = waiting.pop();
      const join = isNode(item) ? item['JoinExpr'] : undefined;
      if (!isNode(join)) {
        const made = this.#item(item, scope);
        if (made !== null) items.push(made);
        continue;
      }
      waiting.push(join['rarg'], join['larg']);
      for (const alias of [aliasOf(join), aliasNameOf(join['join_using_alias'])])
        if (alias !== null)
          items.push({ alias, columns: () => [{ gap: allOf(scope, alias) }], star: () => [] });
    }
  }

  #item(item: unknown, scope: Scope): RangeItem | null {
    const [[kind, node] = ['', null]] = isNode(item) ? Object.entries(item) : [];
    if (!isNode(node)) return null;
    switch (kind) {
      case 'RangeVar':
        return this.#relation(node, scope);
      case 'RangeSubselect': {
        const around = this.ofSubselect(node, scope);
        return named(aliasOf(node), node, () => this.outputs(node['subquery'], around));
      }
      case 'RangeFunction':
        return named(aliasOf(node), node, () => functionColumns(node, scope));
      case 'RangeTableSample':
        return this.#item(node['relation'], scope);
      default:
        return named(aliasOf(node), node, () => [{ gap: [{ expression: node, scope, isOpaque: true }] }]);
    }
  }

  #relation(node: Node, scope: Scope): RangeItem {
    const name = relationOf(node);
    const alias = aliasOf(node) ?? name?.name ?? null;
    const cte = name === null || name.schema !== null ? null : cteOf(name.name, scope);
    if (cte === null) return named(alias, {}, () => TABLE);
    return named(alias, node, () =>
      renamed(this.outputs(cte.node['ctequery'], cte.scope), listOf(cte.node['aliascolnames'])),
    );
  }

  /** A table that is written: what its columns are now may be what the statement gives them. */
  #written(kind: string, node: Node, scope: Scope): RangeItem {
    const relation = node['relation'];
    const alias = isNode(relation) ? (aliasOf(relation) ?? relationOf(relation)?.name ?? null) : null;
    const given = (): Column[] => (kind === 'InsertStmt' ? this.inserted(node, scope) : setIn(node, scope));
    return { alias, columns: given, star: () => [gapOf(given())] };
  }

  /** What an INSERT gives, by the columns it names; without names all may be any. */
  inserted(node: Node, scope: Scope): Column[] {
    const names = listOf(node['cols']).map(targetName);
    const outputs = this.outputs(node['selectStmt'], around(scope));
    const set = isNode(node['onConflictClause']) ? setIn(node['onConflictClause'], scope) : [];
    if (names.length === 0) return [{ name: null, sources: opaque(sourcesOf(outputs)) }, ...set];
    const columns = names.map((name, index) => ({ name, sources: sourcesAt(outputs, index, names.length) }));
    return [...columns, ...set];
  }
}

/** Of a query that does not see what stands beside it. */
export function around(scope: Scope): Scope {
  return scope.parent ?? scope;
}

/** Of the output at that index. @param total how many there are; null: not known */
export function sourcesAt(
  outputs: readonly Output[],
  index: number,
  total: number | null,
): readonly Source[] {
  const first = outputs.findIndex(isGap);
  if (first === -1 || index < first) return outputs[index] === undefined ? [] : sourcesOf([outputs[index]]);
  const behind = outputs.slice(first + 1);
  if (total !== null && !behind.some(isGap)) {
    const fromEnd = total - index;
    const at = fromEnd <= behind.length ? outputs[outputs.length - fromEnd] : outputs[first];
    return at === undefined ? [] : sourcesOf([at]);
  }
  return opaque(sourcesOf(outputs.slice(first)));
}

/** How many there are; null: it does not show. */
export function countOf(outputs: readonly Output[]): number | null {
  return outputs.some(isGap) ? null : outputs.length;
}

export function sourcesOf(outputs: readonly Output[]): readonly Source[] {
  return outputs.flatMap((output) => (isGap(output) ? output.gap : output.sources));
}

export function opaque(sources: readonly Source[]): readonly Source[] {
  return [{ sources, isOpaque: true }];
}

export function isGap(output: Output): output is Gap {
  return 'gap' in output;
}

/** Columns by which a join compares its sides; null: all that both have; none: it does not. */
export function joinedBy(join: Node): readonly string[] | null {
  if (join['isNatural'] === true) return null;
  return listOf(join['usingClause']).map((name) => stringOf(name) ?? '');
}

function isMerged(root: unknown): boolean {
  const waiting = [root];
  while (waiting.length > 0) {
    const item = waiting.pop();
    const join = isNode(item) ? item['JoinExpr'] : undefined;
    if (!isNode(join)) continue;
    if (join['isNatural'] === true || join['usingClause'] !== undefined) return true;
    waiting.push(join['larg'], join['rarg']);
  }
  return false;
}

/** Whatever is in what stands beside each other, but what is called so: that is made of the others. */
function allOf(scope: Scope, but: string | null = null): readonly Source[] {
  const outputs = (): readonly Output[] =>
    scope.items.filter(({ alias }) => but === null || alias !== but).flatMap((item) => item.star());
  return [{ outputs, isOpaque: true }];
}

function gapOf(outputs: readonly Output[]): Gap {
  return { gap: [{ outputs: () => outputs, isOpaque: true }] };
}

/** The queries of UNION and its like, in their order; itself: it is none. */
export function branchesOf(root: Node): readonly Node[] {
  const branches: Node[] = [];
  const waiting = [root];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    const [left, right] = [node['larg'], node['rarg']];
    // One in parentheses may have a WITH of its own.
    const isOne = node !== root && node['withClause'] !== undefined;
    if (isNode(left) && isNode(right) && !isOne) waiting.push(right, left);
    else branches.push(node);
  }
  return branches;
}

/** What stands in the FROM of a statement, however it is called there, but for what is written. */
function fromOf(node: Node): readonly unknown[] {
  const source = node['sourceRelation'];
  return [...listOf(node['fromClause']), ...listOf(node['usingClause']), ...(isNode(source) ? [source] : [])];
}

function returningOf(node: Node): unknown {
  const clause = node['returningClause'];
  return isNode(clause) ? clause['exprs'] : undefined;
}

function itemsOf(row: unknown): readonly unknown[] {
  const list = isNode(row) ? row['List'] : undefined;
  return isNode(list) ? listOf(list['items']) : [];
}

function columnsOfRows(rows: readonly (readonly unknown[])[], scope: Scope): Column[] {
  return (rows[0] ?? []).map((_, index) => ({
    name: `column${index + 1}`,
    sources: rows.map((row) => ({ expression: row[index], scope })),
  }));
}

/** By their places; names are those of the first. */
function united(branches: readonly (readonly Output[])[]): readonly Output[] {
  const total = branches.map(countOf).find((count) => count !== null) ?? null;
  if (total === null) return [gapOf(branches.flat())];
  const first = branches[0] ?? [];
  const hasNames = countOf(first) !== null;
  return Array.from({ length: total }, (_, index) => {
    const own = first[index];
    const name = hasNames && own !== undefined && !isGap(own) ? own.name : null;
    return { name, sources: branches.map((each) => ({ sources: sourcesAt(each, index, total) })) };
  });
}

/** What is assigned by SET, or by the parts of MERGE. */
function setIn(node: Node, scope: Scope): Column[] {
  const clauses = listOf(node['mergeWhenClauses']).flatMap((item) => {
    const clause = isNode(item) ? item['MergeWhenClause'] : undefined;
    return isNode(clause) ? [clause] : [];
  });
  return [node, ...clauses].flatMap((each) => {
    const values = listOf(each['values']);
    return listOf(each['targetList']).map((item, index) => {
      const expression = values.length > 0 ? values[index] : targetOf(item)?.['val'];
      return { name: targetName(item), sources: [{ expression, scope }] };
    });
  });
}

function starOf(fields: readonly unknown[], scope: Scope): readonly Output[] {
  const alias = stringOf(fields.at(-2));
  if (alias !== null) return itemOf(alias, scope)?.star() ?? TABLE;
  const all = scope.items.flatMap((item) => item.star());
  return scope.isMerged ? [gapOf(all)] : all;
}

/** The nearest of that name. */
export function itemOf(alias: string, from: Scope): RangeItem | null {
  for (let scope: Scope | null = from; scope !== null; scope = scope.parent) {
    const found = scope.items.find((item) => item.alias === alias);
    if (found !== undefined) return found;
  }
  return null;
}

function cteOf(name: string, from: Scope): Cte | null {
  for (let scope: Scope | null = from; scope !== null; scope = scope.parent) {
    const found = scope.ctes.get(name);
    if (found !== undefined) return found;
  }
  return null;
}

function nameOf(cte: Node): string {
  return typeof cte['ctename'] === 'string' ? cte['ctename'] : '';
}

function aliasOf({ alias }: Node): string | null {
  return aliasNameOf(alias);
}

function aliasNameOf(alias: unknown): string | null {
  return isNode(alias) && typeof alias['aliasname'] === 'string' ? alias['aliasname'] : null;
}

/** With the names its alias lists. What it has is made when it is asked for: it may be the item itself. */
function named(alias: string | null, node: Node, outputs: () => readonly Output[]): RangeItem {
  const names = isNode(node['alias']) ? listOf(node['alias']['colnames']) : [];
  const made = (): readonly Output[] => renamed(outputs(), names);
  return { alias, columns: made, star: made };
}

function renamed(outputs: readonly Output[], names: readonly unknown[]): readonly Output[] {
  if (names.length === 0) return outputs;
  const first = outputs.findIndex(isGap);
  return outputs.map((output, index): Output => {
    if (isGap(output)) return output;
    if (first !== -1 && index > first) return { ...output, name: null };
    return index < names.length ? { ...output, name: stringOf(names[index]) } : output;
  });
}

function isStar(field: unknown): boolean {
  return isNode(field) && 'A_Star' in field;
}

/** Of one function, or of several beside each other (ROWS FROM). */
function functionColumns(node: Node, scope: Scope): readonly Output[] {
  const alias = aliasOf(node);
  const names = isNode(node['alias']) ? listOf(node['alias']['colnames']).length : 0;
  const functions = listOf(node['functions']).map(itemsOf);
  const columns = functions.flatMap(([call, listed]): readonly Output[] => {
    const definitions = [...listOf(listed), ...(isNode(listed) ? itemsOf(listed) : [])];
    const own = [...definitions, ...listOf(node['coldeflist'])].map(definedName);
    const hidden: Source = { expression: call, scope, isOpaque: true };
    if (own.length > 0) return own.map((name) => ({ name, sources: [hidden] }));
    return callColumns(call, scope, { alias, names: functions.length > 1 ? 0 : names });
  });
  return node['ordinality'] === true ? [...columns, { name: 'ordinality', sources: [] }] : columns;
}

function definedName(item: unknown): string | null {
  const definition = isNode(item) ? item['ColumnDef'] : undefined;
  const name = isNode(definition) ? definition['colname'] : undefined;
  return typeof name === 'string' ? name : null;
}

/** `unnest` gives an array's elements, those of several in a column each; of what other functions give little shows. */
function callColumns(
  item: unknown,
  scope: Scope,
  called: { readonly alias: string | null; readonly names: number },
): Output[] {
  const call = isNode(item) ? item['FuncCall'] : undefined;
  const hidden: Source = { expression: item, scope, isOpaque: true };
  if (!isNode(call) || !isUnnest(call)) return [{ gap: [hidden] }];
  const args = listOf(call['args']);
  const own = args.map((expression) => ({ expression, scope }));
  const [only] = own;
  if (args.length === 1 && only !== undefined && !isPlainArray(only.expression)) {
    // Elements may be rows, with columns of their own.
    if (called.names > 1) return [{ gap: [hidden] }];
    return called.names === 1
      ? [{ name: null, sources: [only] }]
      : [{ name: called.alias ?? 'unnest', sources: [only] }, { gap: [hidden] }];
  }
  const name = args.length === 1 ? (called.alias ?? 'unnest') : null;
  return own.map((source) => ({ name, sources: [source] }));
}

function isUnnest(call: Node): boolean {
  const names = listOf(call['funcname']).map(stringOf);
  return names.at(-1) === 'unnest' && (names.length === 1 || names[0] === 'pg_catalog');
}

/** An array of which no element is a row. */
function isPlainArray(expression: unknown): boolean {
  const cast = isNode(expression) ? expression['TypeCast'] : undefined;
  const type = isNode(cast) ? cast['typeName'] : undefined;
  if (!isNode(type) || type['arrayBounds'] === undefined) return false;
  return oidOfType(`_${stringOf(listOf(type['names']).at(-1)) ?? ''}`) !== 0;
}
