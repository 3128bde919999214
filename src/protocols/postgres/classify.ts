/**
 * Makes an operation of each statement of a text: what it does, and to what. By the parser's tree and nothing else, so
 * comments, quoting, escapes and nesting are the parser's matter.
 *
 * The whole tree is walked, so that what stands in a CTE, a subquery, a PREPARE, an EXPLAIN or a column's default counts
 * as if it stood alone. What a function, a DO block or a view does inside the server is not seen: calling it is.
 *
 * Names that a CTE defines are not taken out of the relations: which of two things of one name is meant where is a
 * matter of scopes, and a rule about a table must not be passed by hiding it behind a CTE somewhere else in the text.
 */
import type { Effect, ObjectName, Operation } from '../../flow/operation.ts';
import { columnsOf } from './columns.ts';
import { effectOfFunction, readsAnyTable, STATEMENTS } from './effects.ts';
import { isNode, type Node, parse } from './parser.ts';
import { listOf, nodesOf, relationOf } from './tree.ts';
import { isUnbounded, isUnboundedMerge } from './where.ts';

export type Classified =
  | {
      readonly kind: 'operations';
      readonly operations: readonly Operation[];
      /** It may change how the server reads texts after it (`standard_conforming_strings`, `client_encoding`). */
      readonly changesReading: boolean;
      /** Names of statements that PREPARE makes of it. */
      readonly prepares: readonly string[];
      /** Names of prepared statements that it runs. */
      readonly executes: readonly string[];
    }
  /** `message` is PostgreSQL's, and quotes the text. */
  | { readonly kind: 'syntax-error'; readonly message: string; readonly position: number }
  | { readonly kind: 'too-complex' };

/** Settings by which the same bytes would be another statement, and the values with which they are the one read here. */
const READING_SETTINGS: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ['standard_conforming_strings', new Set(['on', 'true', 'yes', '1'])],
  ['client_encoding', new Set(['utf8', 'utf-8', 'unicode'])],
]);

/**
 * pg_dump gives it to a setting by a name that it takes from pg_settings, because older servers do not know it. No setting that
 * is looked for here takes it, and no role is named so.
 */
const OF_DUMPS = 'view, foreign-table';

/** Settings that say as whom the session acts, or switch off what guards tables: triggers and rules, owners of large objects. */
const PRIVILEGED_SETTINGS: ReadonlySet<string> = new Set([
  'role',
  'session_authorization',
  'session_replication_role',
  'lo_compat_privileges',
  'allow_system_table_mods',
]);

/** @param text as parse() takes it */
export function classify(text: Buffer): Classified {
  const parsed = parse(text);
  if (parsed.kind !== 'statements') return parsed;
  const operations: Operation[] = [];
  let changesReading = false;
  const prepares: string[] = [];
  const executes: string[] = [];
  for (const { stmt } of parsed.statements) {
    const statement = new Statement();
    if (!isNode(stmt) || !statement.walk(stmt)) return { kind: 'too-complex' };
    const operation = statement.operation();
    operations.push({ ...operation, columns: columnsOf(stmt, operation.relations) });
    changesReading ||= statement.changesReading;
    prepares.push(...statement.prepares);
    executes.push(...statement.executes);
  }
  return { kind: 'operations', operations, changesReading, prepares, executes };
}

class Statement {
  changesReading = false;
  readonly prepares: string[] = [];
  readonly executes: string[] = [];
  #verb: string | null = null;
  readonly #effects = new Set<Effect>();
  readonly #relations: ObjectName[] = [];
  readonly #functions: ObjectName[] = [];
  #root: Node = {};
  /** What a column `name` is in all rows that come through; undefined: nobody has asked yet. */
  #named: string | null | undefined;
  /** Rows of the relations it names may be changed through it, now or later. */
  #makesView = false;

  operation(): Omit<Operation, 'columns'> {
    return {
      protocol: 'postgres',
      verb: this.#verb ?? '',
      effects: this.#effects,
      relations: this.#relations,
      functions: this.#functions,
    };
  }

  /** False when there is a statement in it that nobody has thought about. */
  walk(root: Node): boolean {
    this.#root = root;
    for (const node of nodesOf(root)) {
      this.#take(node);
      for (const [key, value] of Object.entries(node)) {
        if (typeof value !== 'object' || value === null) continue;
        if (STATEMENT.test(key) && !this.#takeStatement(key, value as Node)) return false;
      }
    }
    if (this.#makesView) for (const { name } of this.#relations) this.#takeChanged(name);
    return true;
  }

  /** Names, by the fields that hold them: the tree does not say the kind of a node where only one is possible. */
  #take(node: Node): void {
    const { funcname } = node;
    const relation = relationOf(node);
    if (relation !== null) this.#relations.push(relation);
    if (relation !== null && FILE_VIEWS.has(relation.name)) this.#add('server-file');
    if (Array.isArray(funcname)) this.#takeFunction(nameOf(funcname), node);
    // `(x).f` and `t.f` call a function f where there is no such column ("functional notation").
    if (isNode(node['A_Indirection'])) this.#takeSelected(node['A_Indirection']['indirection']);
    if (isNode(node['ColumnRef'])) this.#takeColumn(node['ColumnRef']['fields']);
    // Not a statement of its own, but it makes a table of a SELECT.
    if (isNode(node['intoClause'])) this.#add('schema-change', 'write');
  }

  #takeFunction(name: ObjectName, call: Node): void {
    this.#functions.push(name);
    const effect = effectOfFunction(name.name);
    if (effect !== null) this.#add(effect);
    if (readsAnyTable(name.name)) this.#relations.push(ANY_RELATION);
    if (name.name === 'set_config')
      this.#takeSetting(
        constantOf(call['args'], 0) ?? this.#settingNamed(call['args']),
        constantOf(call['args'], 1),
      );
  }

  /** `set_config(name, …) … WHERE name = 'work_mem'`, as pg_dump has it: it is called with nothing but that. */
  #settingNamed(args: unknown): string | null {
    const [first]: unknown[] = Array.isArray(args) ? args : [];
    if (!isName(first)) return null;
    this.#named ??= settingPicked(this.#root);
    return this.#named;
  }

  #takeSelected(indirection: unknown): void {
    for (const item of Array.isArray(indirection) ? indirection : []) {
      const name = nameOf([item]);
      if (name.name !== '') this.#takeFunction(name, {});
    }
  }

  /** Its argument would be a row, which no function that has an effect by its name takes. */
  #takeColumn(fields: unknown): void {
    if (!Array.isArray(fields) || fields.length < 2) return;
    const name = nameOf([fields.at(-1)]);
    if (name.name !== '') this.#functions.push(name);
  }

  /** The rows of a relation are changed. Those of PostgreSQL's own are what the server goes by. */
  #takeChanged(relation: unknown): void {
    if (typeof relation !== 'string' || !relation.startsWith('pg_')) return;
    this.#add('system-change', 'privilege-change', 'schema-destruction', 'code');
    // Its rule calls set_config().
    if (relation === 'pg_settings') this.changesReading = true;
  }

  /** Options of file_fdw. */
  #takeOptions(options: unknown): void {
    for (const item of Array.isArray(options) ? options : []) {
      const option = isNode(item) && isNode(item['DefElem']) ? item['DefElem']['defname'] : undefined;
      if (option === 'program') this.#add('server-program');
      if (option === 'filename') this.#add('server-file');
    }
  }

  /** `null`: which one it is, or to what it is set, only shows when it is run. */
  #takeSetting(name: string | null, value: string | null): void {
    if (name === null && value === OF_DUMPS) return;
    const harmless = name === null ? undefined : READING_SETTINGS.get(name);
    if (name === null || (harmless !== undefined && !harmless.has(value ?? ''))) this.changesReading = true;
    if (name === null || PRIVILEGED_SETTINGS.has(name)) this.#add('privilege-change');
  }

  #takeStatement(kind: string, node: Node): boolean {
    const known = Object.hasOwn(STATEMENTS, kind) ? STATEMENTS[kind] : undefined;
    if (known === undefined) return false;
    const [verb, ...effects] = known;
    this.#verb ??= verb;
    this.#add(...effects);
    if (CHANGES_ROWS.has(kind))
      this.#takeChanged(isNode(node['relation']) ? node['relation']['relname'] : null);
    switch (kind) {
      case 'SelectStmt':
        // FOR UPDATE and its like keep others from the rows as LOCK does from tables, and are written to them.
        if (listOf(node['lockingClause']).length > 0) this.#add('transaction');
        break;
      case 'UpdateStmt':
      case 'DeleteStmt':
        if (isUnbounded(node['whereClause'])) this.#add('unbounded-write');
        break;
      case 'MergeStmt':
        if (isUnboundedMerge(node)) this.#add('unbounded-write');
        break;
      case 'ViewStmt':
        this.#makesView = true;
        break;
      case 'PrepareStmt':
        this.prepares.push(String(node['name']));
        break;
      case 'ExecuteStmt':
        this.executes.push(String(node['name']));
        break;
      case 'CreateForeignTableStmt':
        this.#takeOptions(node['options']);
        break;
      case 'GrantStmt':
        if (node['targtype'] === 'ACL_TARGET_ALL_IN_SCHEMA') this.#takeSchemas(node['objects']);
        break;
      case 'DropOwnedStmt':
      case 'AlterTableMoveAllStmt':
        this.#relations.push(ANY_RELATION);
        break;
      case 'DiscardStmt':
        // SET SESSION AUTHORIZATION DEFAULT is a part of it, which takes back a role that was set.
        if (node['target'] === 'DISCARD_ALL') this.#add('privilege-change');
        break;
      case 'VariableSetStmt':
        if (typeof node['name'] === 'string')
          this.#takeSetting(node['name'].toLowerCase(), constantOf(node['args'], 0));
        break;
      case 'CopyStmt':
        this.#takeCopy(node);
        break;
      case 'AlterTableStmt':
        this.#takeAlterTable(node);
        break;
      case 'DropStmt':
        this.#takeDropped(node);
        break;
      case 'RenameStmt':
        this.#takeMoved(node['renameType'], node);
        break;
      case 'AlterObjectSchemaStmt':
        this.#takeMoved(node['objectType'], node);
        break;
      case 'AlterDomainStmt':
        if (node['subtype'] === DROPS_CONSTRAINT) this.#add('schema-destruction');
        break;
      case 'CommentStmt':
      case 'SecLabelStmt':
      case 'AlterExtensionContentsStmt':
        this.#takeNamed(node);
        break;
      case 'CreatePublicationStmt':
      case 'AlterPublicationStmt':
        this.#takePublished(node);
        break;
    }
    return true;
  }

  #takeCopy(node: Node): void {
    const isFrom = node['is_from'] === true;
    this.#add(isFrom ? 'write' : 'read');
    if (isFrom && isNode(node['relation'])) this.#takeChanged(node['relation']['relname']);
    if (node['is_program'] === true) this.#add('server-program');
    else if (typeof node['filename'] === 'string') this.#add('server-file');
  }

  #takeAlterTable(node: Node): void {
    for (const item of Array.isArray(node['cmds']) ? node['cmds'] : []) {
      const command = isNode(item) && isNode(item['AlterTableCmd']) ? item['AlterTableCmd'] : {};
      const subtype = String(command['subtype'] ?? '');
      if (DESTRUCTIVE.has(subtype)) this.#add('schema-destruction');
      if (PRIVILEGED.test(subtype)) this.#add('privilege-change');
      const { def } = command;
      // With USING each value becomes whatever is said there.
      if (subtype === 'AT_AlterColumnType' && isNode(def) && isNode(def['ColumnDef']))
        if (def['ColumnDef']['raw_default'] !== undefined) this.#add('write', 'unbounded-write');
      if (subtype === 'AT_GenericOptions' && isNode(def) && isNode(def['List']))
        this.#takeOptions(def['List']['items']);
      if (subtype.startsWith('AT_SetTableSpace')) this.#add('system-change');
    }
  }

  #takeDropped(node: Node): void {
    const isSchema = node['removeType'] === 'OBJECT_SCHEMA';
    const isOfTable = OF_TABLE.has(String(node['removeType']));
    for (const item of Array.isArray(node['objects']) ? node['objects'] : []) {
      const parts = isNode(item) && isNode(item['List']) ? item['List']['items'] : [item];
      const path = Array.isArray(parts) ? parts : [];
      const name = nameOf(isOfTable ? path.slice(0, -1) : path);
      // Whatever is in the schema goes with it.
      this.#relations.push(isSchema ? { schema: name.name, name: '*' } : name);
    }
  }

  /** What is known by its name gets another. */
  #takeMoved(type: unknown, node: Node): void {
    if (type === 'OBJECT_SCHEMA') this.#relations.push({ schema: String(node['subname']), name: '*' });
    const object = isNode(node['object']) ? node['object']['ObjectWithArgs'] : undefined;
    if (!CALLED.has(type) || !isNode(object) || !Array.isArray(object['objname'])) return;
    this.#add('code');
    this.#functions.push(nameOf(object['objname']));
  }

  /** A table, or a column of one, by a list of names. */
  #takeNamed(node: Node): void {
    const list = isNode(node['object']) ? node['object']['List'] : undefined;
    const path = isNode(list) && Array.isArray(list['items']) ? list['items'] : [];
    if (node['objtype'] === 'OBJECT_COLUMN') this.#relations.push(nameOf(path.slice(0, -1)));
    else if (OF_RELATIONS.has(node['objtype'])) this.#relations.push(nameOf(path));
  }

  #takePublished(node: Node): void {
    if (node['for_all_tables'] === true) this.#relations.push(ANY_RELATION);
    for (const item of Array.isArray(node['pubobjects']) ? node['pubobjects'] : []) {
      const spec = isNode(item) ? item['PublicationObjSpec'] : undefined;
      if (isNode(spec) && typeof spec['name'] === 'string')
        this.#relations.push({ schema: spec['name'], name: '*' });
      // The schema of the session, whichever it is.
      else if (isNode(spec) && !isNode(spec['pubtable'])) this.#relations.push(ANY_RELATION);
    }
  }

  #takeSchemas(names: unknown): void {
    for (const item of Array.isArray(names) ? names : [])
      this.#relations.push({ schema: nameOf([item]).name, name: '*' });
  }

  #add(...effects: readonly Effect[]): void {
    for (const effect of effects) this.#effects.add(effect);
  }
}

/** Kinds of nodes begin with a capital letter, fields (`selectStmt`) do not. */
const STATEMENT = /^[A-Z]\w*Stmt$/;

/** Whatever there is. */
const ANY_RELATION: ObjectName = { schema: null, name: '*' };

/** They show what functions of the same kind read (pg_proc has their names). */
const FILE_VIEWS: ReadonlySet<string> = new Set([
  'pg_hba_file_rules',
  'pg_ident_file_mappings',
  'pg_file_settings',
]);

/** By another name or in another schema they are other functions to rules. */
const CALLED: ReadonlySet<unknown> = new Set([
  'OBJECT_FUNCTION',
  'OBJECT_PROCEDURE',
  'OBJECT_ROUTINE',
  'OBJECT_AGGREGATE',
]);

const OF_RELATIONS: ReadonlySet<unknown> = new Set([
  'OBJECT_TABLE',
  'OBJECT_VIEW',
  'OBJECT_MATVIEW',
  'OBJECT_FOREIGN_TABLE',
  'OBJECT_SEQUENCE',
  'OBJECT_INDEX',
]);

/** Of a domain (AD_DropConstraint). */
const DROPS_CONSTRAINT = 'X';

const CHANGES_ROWS: ReadonlySet<string> = new Set(['InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt']);

/** Dropped by the table's name and their own. */
const OF_TABLE: ReadonlySet<string> = new Set(['OBJECT_TRIGGER', 'OBJECT_RULE', 'OBJECT_POLICY']);

const DESTRUCTIVE: ReadonlySet<string> = new Set([
  'AT_DropColumn',
  'AT_DetachPartition',
  'AT_DropConstraint',
  'AT_DropNotNull',
  'AT_DropInherit',
]);

/** Owners, row security, triggers and rules switched on or off. */
const PRIVILEGED =
  /^AT_(?:ChangeOwner|(?:Enable|Disable|Force|NoForce)(?:Row|Trig|Rule|AlwaysTrig|ReplicaTrig|AlwaysRule|ReplicaRule))/;

/** A qualified name as a list of `String` nodes; of three parts the first is the database. */
function nameOf(list: readonly unknown[]): ObjectName {
  const parts = list.flatMap((item) => {
    const text = isNode(item) && isNode(item['String']) ? item['String']['sval'] : undefined;
    return typeof text === 'string' ? [text] : [];
  });
  return { schema: parts.at(-2) ?? null, name: parts.at(-1) ?? '' };
}

/** An argument in lower case, if it is a constant string. */
function constantOf(args: unknown, index: number): string | null {
  const arg: unknown = Array.isArray(args) ? args[index] : undefined;
  const constant = isNode(arg) && isNode(arg['A_Const']) ? arg['A_Const']['sval'] : undefined;
  const text = isNode(constant) ? constant['sval'] : undefined;
  return typeof text === 'string' ? text.toLowerCase() : null;
}

/**
 * The name of a setting that is all that the condition of a SELECT from the settings lets through; null for anything else: what a join
 * or a function calls so may be called with more.
 */
function settingPicked(root: Node): string | null {
  const select = root['SelectStmt'];
  if (!isNode(select) || JSON.stringify(select).includes('Stmt"')) return null;
  const { whereClause: where, fromClause: from, op } = select;
  const comparison = isNode(where) ? where['A_Expr'] : undefined;
  if (!isNode(comparison) || op !== 'SETOP_NONE' || !Array.isArray(from) || from.length !== 1) return null;
  const { kind, name, lexpr, rexpr } = comparison;
  const isEqual =
    isSettings(from[0]) &&
    kind === 'AEXPR_OP' &&
    Array.isArray(name) &&
    name.length === 1 &&
    nameOf(name).name === '=';
  return isEqual && isName(lexpr) ? constantOf([rexpr], 0) : null;
}

/** The view itself, without a name of columns of its own. */
function isSettings(source: unknown): boolean {
  const table = isNode(source) ? source['RangeVar'] : undefined;
  return isNode(table) && table['relname'] === 'pg_settings' && !isNode(table['alias']);
}

/** The column `name`, and nothing else. */
function isName(node: unknown): boolean {
  const reference = isNode(node) ? node['ColumnRef'] : undefined;
  const fields = isNode(reference) ? reference['fields'] : undefined;
  return Array.isArray(fields) && fields.length === 1 && nameOf(fields).name === 'name';
}
