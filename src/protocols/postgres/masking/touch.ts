/**
 * Whether a statement may bring values of a masked column into something that is not that column any more: `upper(ssn)`,
 * `row_to_json(p)`, a subquery's star. PostgreSQL says of such columns only that they come from nowhere.
 *
 * By the parser's tree and on the safe side: a statement that names the column, a star, a whole row or columns by other
 * names, in a table that may be meant, touches it. What functions of the database read is not seen.
 */
import { effectOfFunction, readsAnyTable, STATEMENTS } from '../effects.ts';
import { isNode, type Node, parse } from '../parser.ts';
import { listOf, nodesOf, relationOf, stringOf } from '../tree.ts';
import type { Reach } from './catalog.ts';
import type { ColumnRule } from './column-rules.ts';
import { type CopyShape, copyShape } from './copy-shape.ts';

export interface Relation {
  readonly schema: string | null;
  readonly name: string;
  /** A CTE of the statement has the name: it is most likely that. */
  readonly isCte?: boolean;
}

/** What a text says, as far as it matters to masking. */
export interface StatementFacts {
  readonly relations: readonly Relation[];
  /** Names of columns, and whatever else may be one. */
  readonly names: ReadonlySet<string>;
  /** It may take all columns of a table without naming them, or by other names. */
  readonly takesAll: boolean;
  /** It runs what stands elsewhere: DO, CALL, functions that take a statement. Nobody knows what it reads. */
  readonly runsCode: boolean;
  /** It calls functions by names that are not certainly PostgreSQL's own. */
  readonly calls: boolean;
  /** EXECUTE and FETCH: what they give was said before. */
  readonly isIndirect: boolean;
  /** Names it is to give to what is prepared or declared. */
  readonly gives: readonly string[];
  /** Names by which EXECUTE and FETCH have it. */
  readonly takes: readonly string[];
  /** PREPARE, DECLARE, code: what it reads may come out of a later statement. */
  readonly lasts: boolean;
  /** EXPLAIN and nothing else: plans show no rows. */
  readonly isPlan: boolean;
  /** It may make, rename or change tables. */
  readonly changesTables: boolean;
  /** One for each COPY with the client, in their order. */
  readonly copies: readonly CopyShape[];
}

/**
 * One word that is no statement here is none to any server, so what is said about it quotes nothing. What stands for a
 * denied statement is such a word, and the denial has to be told.
 */
const ONE_WORD = /^[a-z_][a-z0-9_]{0,62}$/;

/** Functions that tell of the session, which drivers call before anything else; nobody makes others by these names. */
const ASKED_BY_DRIVERS: ReadonlySet<string> = new Set([
  'current_database',
  'current_schema',
  'current_schemas',
  'current_setting',
  'now',
  'pg_backend_pid',
  'pg_is_in_recovery',
  'set_config',
  'version',
]);

/** Null where the text is not understood. @param text as parse() takes it */
export function statementFacts(text: Buffer): StatementFacts | null {
  const parsed = parse(text);
  const reader = new Reader();
  if (parsed.kind === 'statements') for (const { stmt } of parsed.statements) reader.statement(stmt);
  else if (parsed.kind !== 'syntax-error' || !ONE_WORD.test(text.toString('latin1'))) return null;
  return reader.facts();
}

/** The same of parts of a statement. */
export function factsOfNodes(nodes: readonly unknown[]): StatementFacts {
  const reader = new Reader();
  reader.statement(nodes);
  return reader.facts();
}

/** @param reaches whether a relation may be a view that shows the rule's column */
export function touches(
  facts: StatementFacts | null,
  rule: ColumnRule,
  reaches: (relation: Relation, rule: ColumnRule) => Reach,
): boolean {
  if (facts === null || facts.runsCode) return true;
  if (facts.isPlan) return false;
  const reached = facts.relations.map((relation) =>
    relation.name === '*' ? 'by any name' : reaches(relation, rule),
  );
  if (reached.includes('by any name')) return true;
  if (!reached.includes('by its name')) return false;
  if (facts.takesAll) return true;
  for (const name of facts.names) if (rule.meansColumn(name)) return true;
  return false;
}

/** Statistics of columns hold their most common values; pg_statistic_ext only says of which columns there are any. */
const STATISTICS = /^pg_stat(?:s|istic(?!_ext$))/;

export function readsStatistics(facts: StatementFacts | null): boolean {
  return facts === null || facts.relations.some(({ name }) => STATISTICS.test(name));
}

class Reader {
  readonly #relations: Relation[] = [];
  readonly #aliases = new Set<string>();
  readonly #ctes = new Set<string>();
  readonly #names = new Set<string>();
  readonly #lastNames = new Set<string>();
  readonly #copies: CopyShape[] = [];
  #takesAll = false;
  #runsCode = false;
  #calls = false;
  #isIndirect = false;
  #lasts = false;
  readonly #gives: string[] = [];
  readonly #takes: string[] = [];
  #isPlan = true;
  #changesTables = false;

  facts(): StatementFacts {
    let takesAll = this.#takesAll;
    for (const name of this.#lastNames) takesAll ||= this.#aliases.has(name);
    return {
      relations: this.#relations.map((relation) =>
        relation.schema === null && this.#ctes.has(relation.name) ? { ...relation, isCte: true } : relation,
      ),
      names: this.#names,
      takesAll,
      runsCode: this.#runsCode,
      calls: this.#calls,
      isIndirect: this.#isIndirect,
      gives: this.#gives,
      takes: this.#takes,
      lasts: this.#lasts,
      isPlan: this.#isPlan,
      changesTables: this.#changesTables || this.#runsCode,
      copies: this.#copies,
    };
  }

  statement(root: unknown): void {
    this.#isPlan &&= isNode(root) && 'ExplainStmt' in root;
    for (const node of nodesOf(root)) {
      this.#node(node);
      for (const [key, value] of Object.entries(node))
        if (key.endsWith('Stmt') && isNode(value)) this.#kind(key, value);
    }
  }

  #node(node: Node): void {
    const { aliasname, ctename, sval, name, funcname, colnames } = node;
    const relation = relationOf(node);
    if (relation !== null) {
      this.#relations.push(relation);
      this.#aliases.add(relation.name);
    }
    for (const alias of [aliasname, ctename]) if (typeof alias === 'string') this.#aliases.add(alias);
    if (typeof ctename === 'string') this.#ctes.add(ctename);
    for (const text of [sval, name]) if (typeof text === 'string') this.#names.add(text);
    if ('A_Star' in node) this.#takesAll = true;
    // Columns by other names: `people AS p (a, b, c)`, `WITH p (a, b) AS …`.
    if (Array.isArray(colnames) && colnames.length > 0) this.#takesAll = true;
    if (Array.isArray(node['aliascolnames'])) this.#takesAll = true;
    if (isNode(node['ColumnRef'])) this.#columnRef(node['ColumnRef']['fields']);
    if (Array.isArray(funcname)) this.#function(funcname);
    // `(x).f` calls a function where there is no such column.
    const { A_Indirection: selected } = node;
    if (isNode(selected)) this.#calls ||= listOf(selected['indirection']).some((at) => stringOf(at) !== null);
  }

  /** Its last name may be a table's: then it is the whole row. */
  #columnRef(fields: unknown): void {
    if (Array.isArray(fields)) this.#lastNames.add(lastName(fields));
  }

  #function(path: readonly unknown[]): void {
    const name = lastName(path);
    const isOwn = path.length > 1 ? stringOf(path.at(-2)) === 'pg_catalog' : ASKED_BY_DRIVERS.has(name);
    this.#calls ||= !isOwn;
    const effect = effectOfFunction(name);
    if (effect === 'code' || effect === 'foreign') this.#runsCode = true;
    if (readsAnyTable(name)) this.#relations.push({ schema: null, name: '*' });
    if (readsAnyTable(name)) this.#takesAll = true;
  }

  #kind(kind: string, node: Node): void {
    const effects: readonly string[] = Object.hasOwn(STATEMENTS, kind) ? (STATEMENTS[kind] ?? []) : [];
    if (effects.includes('schema-change')) this.#changesTables = true;
    if (kind === 'DoStmt' || kind === 'CallStmt') this.#runsCode = true;
    const { name, portalname } = node;
    if (kind === 'ExecuteStmt' || kind === 'FetchStmt') {
      this.#isIndirect = true;
      this.#takes.push(String(name ?? portalname));
    }
    if (kind === 'PrepareStmt' || kind === 'DeclareCursorStmt') this.#gives.push(String(name ?? portalname));
    this.#lasts ||= this.#gives.length > 0 || effects.includes('code');
    // Rules and functions with a statement's tree in them, and RETURNING of foreign things, are walked like any other.
    if (kind === 'CopyStmt') {
      const shape = copyShape(node);
      if (shape !== null) this.#copies.push(shape);
    }
  }
}

function lastName(list: readonly unknown[]): string {
  return stringOf(list.at(-1)) ?? '';
}
