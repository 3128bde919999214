/**
 * What a text says of the values in it: all its strings and numbers as they are meant, what type they are said to be, and for which
 * columns they are.
 *
 * A value is for a column where the statement makes it plain: it is inserted into it by name, set, or compared with it. By the
 * parser's tree, on the safe side: all constants and parameters of an expression that is set or compared count.
 */
import { isNode, type Node, parse } from '../../parser.ts';
import { listOf, nodesOf, relationOf, stringOf, targetName, targetOf } from '../../tree.ts';
import type { Relation } from '../touch.ts';
import { oidOfType } from '../types.ts';
import { decimal } from './literal.ts';

/** A constant, by where it begins in the text, or a parameter, by its number. */
export interface ValueFacts {
  /** The type it is cast to; 0: none. */
  typeOid: number;
  /** Names of columns it is for; null: of a table that is filled without naming them. */
  readonly columns: Set<string>;
}

export interface RequestFacts {
  readonly statements: readonly Node[];
  /** What the strings and numbers of the text say. */
  readonly leaves: readonly string[];
  readonly constants: ReadonlyMap<number, ValueFacts>;
  readonly parameters: ReadonlyMap<number, ValueFacts>;
  readonly relations: readonly Relation[];
  /** Filled with values without naming columns. */
  readonly unnamed: readonly Relation[];
  /** It may give names of the protocol another meaning. */
  readonly renames: boolean;
}

/** Null where the text is not understood. @param text as parse() takes it */
export function requestFacts(text: Buffer): RequestFacts | null {
  const parsed = parse(text);
  if (parsed.kind !== 'statements') return null;
  const reader = new Reader();
  reader.walk(parsed.statements);
  return { statements: parsed.statements, ...reader.facts };
}

class Reader {
  readonly #leaves = new Set<string>();
  readonly #constants = new Map<number, ValueFacts>();
  readonly #parameters = new Map<number, ValueFacts>();
  readonly #relations: Relation[] = [];
  readonly #unnamed: Relation[] = [];
  #renames = false;

  get facts() {
    return {
      leaves: [...this.#leaves],
      constants: this.#constants,
      parameters: this.#parameters,
      relations: this.#relations,
      unnamed: this.#unnamed,
      renames: this.#renames,
    };
  }

  walk(root: unknown): void {
    for (const node of nodesOf(root))
      for (const [key, value] of Object.entries(node)) {
        if (typeof value === 'string')
          this.#leaves.add(key === 'fval' ? decimal(value.replace(/^-/, '')) : value);
        if (isNode(value)) this.#node(key, value);
      }
  }

  #node(kind: string, node: Node): void {
    const named = relationOf(node);
    if (named !== null) this.#relations.push(named);
    switch (kind) {
      case 'A_Const':
        this.#constant(node);
        break;
      case 'ParamRef':
        this.#parameter(node);
        break;
      case 'TypeCast':
        this.#cast(node);
        break;
      case 'InsertStmt':
        this.#insert(node);
        break;
      case 'UpdateStmt':
      case 'onConflictClause':
        this.#set(node['targetList']);
        break;
      case 'MergeWhenClause':
        this.#mergeWhen(node);
        break;
      case 'MergeStmt':
        this.#mergeInserts(node);
        break;
      case 'A_Expr':
        this.#compared(node['lexpr'], node['rexpr']);
        break;
      case 'CaseExpr':
        for (const when of listOf(node['args']))
          if (isNode(when) && isNode(when['CaseWhen'])) this.#compared(node['arg'], when['CaseWhen']['expr']);
        break;
      case 'SubLink':
        this.#compared(node['testexpr'], valuesOf(node['subselect']));
        break;
      case 'CopyStmt':
        if (node['is_from'] === true && node['attlist'] === undefined) this.#isUnnamed(node['relation']);
        break;
      case 'PrepareStmt':
      case 'DoStmt':
      case 'CallStmt':
        this.#renames = true;
        break;
    }
  }

  #constant(node: Node): ValueFacts {
    return valueAt(this.#constants, numberOf(node['location']));
  }

  #parameter(node: Node): ValueFacts {
    return valueAt(this.#parameters, numberOf(node['number']));
  }

  #value(node: Node): ValueFacts | null {
    if (isNode(node['A_Const'])) return this.#constant(node['A_Const']);
    return isNode(node['ParamRef']) ? this.#parameter(node['ParamRef']) : null;
  }

  #cast({ arg, typeName }: Node): void {
    const value = isNode(arg) ? this.#value(arg) : null;
    if (value === null || !isNode(typeName)) return;
    const name = lastOf(typeName['names']);
    value.typeOid = oidOfType(typeName['arrayBounds'] === undefined ? name : `_${name}`);
  }

  #insert({ relation, cols, selectStmt }: Node): void {
    const select = isNode(selectStmt) ? selectStmt['SelectStmt'] : undefined;
    if (!isNode(select)) return;
    const columns = listOf(cols).map(targetName);
    const rows = rowsOf(select);
    if (columns.length === 0) {
      if (rows.some((row) => row.some((value) => this.#holdsValues(value)))) this.#isUnnamed(relation);
      return;
    }
    for (const row of rows)
      for (const [index, value] of row.entries()) this.#given([columns[index] ?? ''], value);
  }

  #set(targets: unknown): void {
    for (const item of listOf(targets)) {
      const target = targetOf(item);
      if (target !== null) this.#given([targetName(item) ?? ''], sourceOf(target['val']));
    }
  }

  #mergeWhen(node: Node): void {
    if (node['commandType'] !== 'CMD_INSERT') this.#set(node['targetList']);
    const columns = listOf(node['targetList']).map(targetName);
    if (node['commandType'] === 'CMD_INSERT')
      for (const [index, value] of listOf(node['values']).entries())
        this.#given([columns[index] ?? ''], value);
  }

  #mergeInserts({ relation, mergeWhenClauses }: Node): void {
    for (const item of listOf(mergeWhenClauses)) {
      const clause = isNode(item) ? item['MergeWhenClause'] : undefined;
      if (isNode(clause) && clause['commandType'] === 'CMD_INSERT' && clause['targetList'] === undefined)
        if (listOf(clause['values']).some((value) => this.#holdsValues(value))) this.#isUnnamed(relation);
    }
  }

  #isUnnamed(relation: unknown): void {
    const named = isNode(relation) ? relationOf(relation) : null;
    if (named !== null) this.#unnamed.push(named);
  }

  /** Rows that are compared are compared column by column. */
  #compared(left: unknown, right: unknown): void {
    const [one, other] = [rowOf(left), rowOf(right)];
    if (one !== null && other !== null && one.length === other.length) {
      for (const [index, each] of one.entries()) this.#compared(each, other[index]);
      return;
    }
    this.#given(columnsIn(left), right);
    this.#given(columnsIn(right), left);
  }

  #given(columns: readonly string[], expression: unknown): void {
    if (columns.length === 0) return;
    for (const node of within(expression)) {
      const value = this.#value(node);
      if (value !== null) for (const column of columns) value.columns.add(column);
    }
  }

  #holdsValues(expression: unknown): boolean {
    for (const node of within(expression)) if ('A_Const' in node || 'ParamRef' in node) return true;
    return false;
  }
}

function valueAt(values: Map<number, ValueFacts>, at: number): ValueFacts {
  const known = values.get(at);
  if (known !== undefined) return known;
  const value = { typeOid: 0, columns: new Set<string>() };
  values.set(at, value);
  return value;
}

/** All nodes of an expression, and none of a query in it but what `VALUES` lists. */
function* within(expression: unknown): Generator<Node> {
  const waiting: unknown[] = [expression];
  while (waiting.length > 0) {
    const at = waiting.pop();
    if (Array.isArray(at)) for (const item of at) waiting.push(item);
    if (!isNode(at)) continue;
    yield at;
    for (const [key, value] of Object.entries(at)) {
      if (typeof value !== 'object' || value === null || key === 'typeName') continue;
      waiting.push(key === 'subselect' || key === 'SelectStmt' ? valuesOf({ [key]: value }) : value);
    }
  }
}

function columnsIn(expression: unknown): string[] {
  const columns: string[] = [];
  for (const node of within(expression)) {
    const reference = node['ColumnRef'];
    if (isNode(reference)) columns.push(lastOf(reference['fields']));
  }
  return columns.filter((column) => column !== '');
}

/** What a query lists by `VALUES`; null: it is another query. */
function valuesOf(query: unknown): unknown {
  const node = isNode(query) && isNode(query['subselect']) ? query['subselect'] : query;
  const select = isNode(node) ? node['SelectStmt'] : undefined;
  return isNode(select) ? (select['valuesLists'] ?? null) : null;
}

/** What an INSERT gives, row by row: of VALUES, of the targets of SELECT, and of both sides of a set operation. */
function rowsOf(select: Node): (readonly unknown[])[] {
  const rows: (readonly unknown[])[] = [];
  const waiting: Node[] = [select];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    for (const item of listOf(at['valuesLists']))
      if (isNode(item) && isNode(item['List'])) rows.push(listOf(item['List']['items']));
    const targets = listOf(at['targetList']);
    if (targets.length > 0) rows.push(targets.map((item) => targetOf(item)?.['val'] ?? null));
    for (const side of [at['larg'], at['rarg']]) if (isNode(side)) waiting.push(side);
  }
  return rows;
}

/** `(a, b) = (x, y)`: which of them is for this target. */
function sourceOf(value: unknown): unknown {
  const reference = isNode(value) ? value['MultiAssignRef'] : undefined;
  if (!isNode(reference)) return value;
  const row = rowOf(reference['source']);
  return row === null ? reference['source'] : row[numberOf(reference['colno']) - 1];
}

function rowOf(expression: unknown): readonly unknown[] | null {
  const row = isNode(expression) ? expression['RowExpr'] : undefined;
  return isNode(row) ? listOf(row['args']) : null;
}

function lastOf(names: unknown): string {
  return stringOf(listOf(names).at(-1)) ?? '';
}

/** The tree leaves out zeros. */
function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}
