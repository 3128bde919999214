/**
 * What a text says of the values in it: all its strings and numbers as they are meant, what type they are said to be, and for which
 * columns they are.
 *
 * A value is for a column where the statement makes it plain: it is inserted into it by name, set, or compared with it, be it by way of
 * queries and lists of values (origins.ts). By the parser's tree, on the safe side: all constants and parameters of an expression that is
 * set or compared count.
 */
import { isNode, type Node, parse } from '../../parser.ts';
import { listOf, relationOf, stringOf, targetName, targetOf } from '../../tree.ts';
import type { Relation } from '../touch.ts';
import { oidOfType } from '../types.ts';
import { decimal } from './literal.ts';
import { type Found, Origins } from './origins.ts';
import {
  around,
  branchesOf,
  countOf,
  isGap,
  joinedBy,
  NOWHERE,
  type Output,
  opaque,
  RangeItems,
  type Scope,
  type Source,
  sourcesAt,
  sourcesOf,
} from './range-items.ts';

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
  /** Given values by the names of columns. */
  readonly written: readonly Relation[];
  /** Columns for which there are values that could not be followed. */
  readonly unclear: ReadonlySet<string>;
  /** It leads on and on, so that not all was followed. */
  readonly isTooMuch: boolean;
  /** Names of prepared statements, and with which values they are executed, each made of any of several constants. */
  readonly executed: readonly Executed[];
  /** Names under which SQL of the text prepares something. */
  readonly prepared: readonly string[];
  /** Code that the server is to run or to keep. */
  readonly code: readonly string[];
  /** It may give names of the protocol another meaning. */
  readonly renames: boolean;
}

export interface Executed {
  readonly name: string;
  /** By where they begin. */
  readonly values: readonly (readonly number[])[];
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
  readonly #items = new RangeItems();
  readonly #origins = new Origins(this.#items);
  /** By which the parts of a FROM are compared; each means all that have it. */
  readonly #joinedNames = new Map<Scope, Set<string>>();
  readonly #leaves = new Set<string>();
  readonly #constants = new Map<number, ValueFacts>();
  readonly #parameters = new Map<number, ValueFacts>();
  readonly #relations: Relation[] = [];
  readonly #unnamed: Relation[] = [];
  readonly #written: Relation[] = [];
  readonly #unclear = new Set<string>();
  readonly #executed: Executed[] = [];
  readonly #prepared: string[] = [];
  readonly #code: string[] = [];
  #renames = false;

  get facts() {
    return {
      leaves: [...this.#leaves],
      constants: this.#constants,
      parameters: this.#parameters,
      relations: this.#relations,
      unnamed: this.#unnamed,
      written: this.#written,
      unclear: this.#unclear,
      isTooMuch: this.#origins.isExhausted,
      executed: this.#executed,
      prepared: this.#prepared,
      code: this.#code,
      renames: this.#renames,
    };
  }

  walk(root: unknown): void {
    const waiting: { readonly at: unknown; readonly scope: Scope }[] = [{ at: root, scope: NOWHERE }];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const { at, scope } = next;
      if (Array.isArray(at)) for (const item of at) waiting.push({ at: item, scope });
      if (!isNode(at)) continue;
      for (const [key, value] of Object.entries(at)) {
        if (typeof value === 'string')
          this.#leaves.add(key === 'fval' ? decimal(value.replace(/^-/, '')) : value);
        if (typeof value !== 'object' || value === null) continue;
        const inside = isNode(value) ? this.#scopeOf(key, value, scope) : scope;
        if (isNode(value)) this.#node(key, value, inside);
        waiting.push({ at: value, scope: inside });
      }
    }
  }

  #scopeOf(key: string, node: Node, scope: Scope): Scope {
    switch (key) {
      case 'SelectStmt':
      case 'InsertStmt':
      case 'UpdateStmt':
      case 'DeleteStmt':
      case 'MergeStmt':
        return this.#items.enter(key, node, scope);
      case 'larg':
      case 'rarg':
        return 'op' in node ? this.#items.enter('SelectStmt', node, scope) : scope;
      case 'CommonTableExpr':
        return this.#items.ofCte(node, scope);
      case 'RangeSubselect':
        return this.#items.ofSubselect(node, scope);
      case 'selectStmt':
        return around(scope);
      default:
        return scope;
    }
  }

  #node(kind: string, node: Node, scope: Scope): void {
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
        this.#insert(node, scope);
        break;
      case 'UpdateStmt':
        this.#isWritten(node['relation'], [{ expression: valuesIn(node['targetList']), scope }]);
        this.#set(node['targetList'], scope);
        break;
      case 'onConflictClause':
        this.#set(node['targetList'], scope);
        break;
      case 'MergeWhenClause':
        this.#mergeWhen(node, scope);
        break;
      case 'MergeStmt':
        this.#isWritten(node['relation'], [{ expression: node['mergeWhenClauses'], scope }]);
        this.#mergeInserts(node, scope);
        break;
      case 'A_Expr':
        this.#compared(node['lexpr'], node['rexpr'], scope);
        break;
      case 'CaseExpr':
        for (const when of listOf(node['args']))
          if (isNode(when) && isNode(when['CaseWhen']))
            this.#compared(node['arg'], when['CaseWhen']['expr'], scope);
        break;
      case 'SubLink':
        this.#comparedWithQuery(node, scope);
        break;
      case 'JoinExpr':
        this.#joined(node, scope);
        break;
      case 'SelectStmt':
        this.#intersected(node, scope);
        if (isNode(node['intoClause'])) this.#made(node['intoClause'], { SelectStmt: node }, scope);
        break;
      case 'CreateTableAsStmt':
        this.#made(node['into'], node['query'], scope);
        break;
      case 'ViewStmt':
        this.#made({ colNames: node['aliases'] }, node['query'], scope);
        break;
      default:
        this.#other(kind, node, scope);
    }
  }

  #other(kind: string, node: Node, scope: Scope): void {
    switch (kind) {
      case 'ColumnDef':
        this.#defaults(node, scope);
        break;
      case 'AlterTableCmd':
        this.#altered(node, scope);
        break;
      case 'CopyStmt':
        if (node['is_from'] === true && node['attlist'] === undefined) this.#isUnnamed(node['relation']);
        if (node['is_from'] === true) this.#isWritten(node['relation'], ['anywhere']);
        break;
      case 'ExecuteStmt':
        this.#execute(node, scope);
        break;
      case 'PrepareStmt':
        this.#prepared.push(textOf(node['name']));
        this.#renames = true;
        break;
      case 'DoStmt':
      case 'CreateFunctionStmt':
        this.#code.push(...codeIn(node));
        this.#renames ||= kind === 'DoStmt';
        break;
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

  #insert(node: Node, scope: Scope): void {
    const outputs = this.#items.outputs(node['selectStmt'], around(scope));
    const columns = listOf(node['cols']).map(targetName);
    if (columns.length === 0) {
      if (this.#origins.reaches(sourcesOf(outputs))) this.#isUnnamed(node['relation']);
      return;
    }
    for (const [index, column] of columns.entries())
      this.#given([column ?? ''], sourcesAt(outputs, index, columns.length));
    this.#isWritten(node['relation'], sourcesOf(outputs));
  }

  #isWritten(relation: unknown, sources: readonly Source[]): void {
    const named = isNode(relation) ? relationOf(relation) : null;
    if (named !== null && this.#origins.reaches(sources)) this.#written.push(named);
  }

  #set(targets: unknown, scope: Scope): void {
    for (const item of listOf(targets)) {
      const target = targetOf(item);
      if (target !== null) this.#given([targetName(item) ?? ''], this.#assigned(target['val'], scope));
    }
  }

  /** `(a, b) = (x, y)`, `(a, b) = (SELECT …)`: which of them is for this target. */
  #assigned(value: unknown, scope: Scope): readonly Source[] {
    const reference = isNode(value) ? value['MultiAssignRef'] : undefined;
    if (!isNode(reference)) return [{ expression: value, scope }];
    const source = reference['source'];
    const index = numberOf(reference['colno']) - 1;
    const query = isNode(source) ? source['SubLink'] : undefined;
    if (isNode(query)) {
      const outputs = this.#items.outputs(query['subselect'], scope);
      return sourcesAt(outputs, index, numberOf(reference['ncolumns']));
    }
    const row = rowOf(source);
    const all = { expression: source, scope };
    return row === null ? opaque([all]) : [{ expression: row[index], scope }];
  }

  #mergeWhen(node: Node, scope: Scope): void {
    if (node['commandType'] !== 'CMD_INSERT') this.#set(node['targetList'], scope);
    const columns = listOf(node['targetList']).map(targetName);
    if (node['commandType'] === 'CMD_INSERT')
      for (const [index, expression] of listOf(node['values']).entries())
        this.#given([columns[index] ?? ''], [{ expression, scope }]);
  }

  #mergeInserts({ relation, mergeWhenClauses }: Node, scope: Scope): void {
    for (const item of listOf(mergeWhenClauses)) {
      const clause = isNode(item) ? item['MergeWhenClause'] : undefined;
      if (!isNode(clause) || clause['commandType'] !== 'CMD_INSERT' || clause['targetList'] !== undefined)
        continue;
      if (this.#origins.reaches([{ expression: clause['values'], scope }])) this.#isUnnamed(relation);
    }
  }

  /** Columns of a table or view that a query makes. */
  #made(into: unknown, query: unknown, scope: Scope): void {
    const outputs = this.#items.outputs(query, scope);
    const names = isNode(into) ? listOf(into['colNames'] ?? into['aliases']) : [];
    for (const [index, output] of outputs.entries()) {
      const own = isGap(output) ? null : output.name;
      const name = countOf(outputs) === null ? own : (stringOf(names[index]) ?? own);
      if (name !== null) this.#given([name], sourcesOf([output]));
    }
  }

  /** What a column has where nothing is said of it. */
  #defaults(node: Node, scope: Scope): void {
    const name = textOf(node['colname']);
    const constraints = listOf(node['constraints']).flatMap((item) => {
      const constraint = isNode(item) ? item['Constraint'] : undefined;
      const isValue = isNode(constraint) && VALUES_OF_COLUMNS.has(String(constraint['contype']));
      return isValue ? [constraint['raw_expr']] : [];
    });
    for (const expression of [node['raw_default'], ...constraints])
      if (name !== '' && expression !== undefined) this.#given([name], [{ expression, scope }]);
  }

  #altered({ subtype, name, def }: Node, scope: Scope): void {
    if (typeof name !== 'string' || !isNode(def)) return;
    const using = isNode(def['ColumnDef']) ? def['ColumnDef']['raw_default'] : undefined;
    const expression = subtype === 'AT_AlterColumnType' ? using : def;
    if (ALTERS_VALUES.has(String(subtype))) this.#given([name], [{ expression, scope }]);
  }

  #execute(node: Node, scope: Scope): void {
    const values = listOf(node['params']).map((expression) => {
      const places: number[] = [];
      const value = (found: Node): void => {
        const constant = found['A_Const'];
        if (isNode(constant)) places.push(numberOf(constant['location']));
      };
      this.#origins.follow([{ expression, scope }], { value, unclear: ignore });
      return places;
    });
    this.#executed.push({ name: textOf(node['name']), values });
  }

  #isUnnamed(relation: unknown): void {
    const named = isNode(relation) ? relationOf(relation) : null;
    if (named !== null) this.#unnamed.push(named);
  }

  /** Rows that are compared are compared column by column. */
  #compared(left: unknown, right: unknown, scope: Scope): void {
    const [one, other] = [rowOf(left), rowOf(right)];
    if (one !== null && other !== null && one.length === other.length) {
      for (const [index, each] of one.entries()) this.#compared(each, other[index], scope);
      return;
    }
    this.#comparedSources([{ expression: left, scope }], [{ expression: right, scope }]);
  }

  #comparedSources(left: readonly Source[], right: readonly Source[]): void {
    this.#given(this.#columnsIn(left), right);
    this.#given(this.#columnsIn(right), left);
  }

  /** `x IN (SELECT …)`, `(a, b) = ANY (VALUES …)` */
  #comparedWithQuery({ testexpr, subselect }: Node, scope: Scope): void {
    if (testexpr === undefined) return;
    const row = rowOf(testexpr) ?? [testexpr];
    const outputs = this.#items.outputs(subselect, scope);
    for (const [index, expression] of row.entries())
      this.#comparedSources([{ expression, scope }], sourcesAt(outputs, index, row.length));
  }

  /** By USING, or by all names that both sides have. */
  #joined(join: Node, scope: Scope): void {
    const listed = joinedBy(join);
    if (listed === null && this.#joinedNames.get(scope)?.has('') === true) return;
    // No column is called so.
    const names = listed ?? ['', ...namesOf(scope)];
    const known = this.#joinedNames.get(scope) ?? new Set();
    this.#joinedNames.set(scope, known);
    for (const name of new Set(names)) {
      if (known.has(name)) continue;
      known.add(name);
      const reference = { ColumnRef: { fields: [{ String: { sval: name } }] } };
      this.#given([name], [{ expression: reference, scope }]);
    }
  }

  #intersected(node: Node, scope: Scope): void {
    if (node['op'] !== 'SETOP_INTERSECT' && node['op'] !== 'SETOP_EXCEPT') return;
    const sides = branchesOf(node).map((select) => this.#items.outputs({ SelectStmt: select }, scope));
    const [first = []] = sides;
    const total = sides.map(countOf).find((count) => count !== null) ?? null;
    for (let index = 0; index < (total ?? first.length); index += 1) {
      const all = sides.map((side) => ({ sources: sourcesAt(side, index, total) }));
      this.#given(this.#columnsIn(all), all);
    }
  }

  #columnsIn(sources: readonly Source[]): string[] {
    const columns = new Set<string>();
    const column = (name: string): void => void columns.add(name);
    this.#origins.follow(sources, { value: ignore, column, unclear: ignore });
    return [...columns];
  }

  #given(columns: readonly string[], sources: readonly Source[]): void {
    if (columns.length === 0) return;
    const found: Found = {
      value: (node) => {
        const value = this.#value(node);
        if (value !== null) for (const column of columns) value.columns.add(column);
      },
      unclear: () => {
        for (const column of columns) this.#unclear.add(column);
      },
    };
    this.#origins.follow(sources, found);
  }
}

function ignore(): void {
  // Only what else is found matters.
}

/** Constraints that say what is in a column. */
const VALUES_OF_COLUMNS: ReadonlySet<string> = new Set(['CONSTR_DEFAULT', 'CONSTR_GENERATED']);
const ALTERS_VALUES: ReadonlySet<string> = new Set([
  'AT_ColumnDefault',
  'AT_AlterColumnType',
  'AT_SetExpression',
]);

function namesOf(scope: Scope): string[] {
  const outputs = scope.items.flatMap((item): readonly Output[] => item.columns());
  return outputs.flatMap((output) => (isGap(output) || output.name === null ? [] : [output.name]));
}

function valuesIn(targets: unknown): readonly unknown[] {
  return listOf(targets).map((item) => targetOf(item)?.['val']);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** The text of DO, or of a function. */
function codeIn(node: Node): string[] {
  return [...listOf(node['args']), ...listOf(node['options'])].flatMap((item) => {
    const option = isNode(item) ? item['DefElem'] : undefined;
    if (!isNode(option) || option['defname'] !== 'as') return [];
    const arg = option['arg'];
    const list = isNode(arg) && isNode(arg['List']) ? listOf(arg['List']['items']) : [arg];
    return list.map(stringOf).filter((text) => text !== null);
  });
}

function valueAt(values: Map<number, ValueFacts>, at: number): ValueFacts {
  const known = values.get(at);
  if (known !== undefined) return known;
  const value = { typeOid: 0, columns: new Set<string>() };
  values.set(at, value);
  return value;
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
