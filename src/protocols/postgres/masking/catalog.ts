/**
 * Which columns of a database policy's rules mean, by the numbers PostgreSQL gives with a result: table and attribute.
 *
 * Asked of the database itself, in the agent's own session, between two of its transactions (look-up.ts). A view that
 * shows a column is known by its dependencies, not which of its columns it is, so all of a view's columns may be the one.
 */
import type { ColumnRule } from './column-rules.ts';
import type { Relation } from './touch.ts';

/** One column that a rule means; attribute 0: any of that relation. */
export interface MeantColumn {
  /** Index of the rule. */
  readonly rule: number;
  readonly tableOid: number;
  readonly attribute: number;
  readonly schema: string;
  readonly table: string;
  /** Its name; null: any. */
  readonly column: string | null;
  /** All columns that COPY of the whole table sends, in their order. */
  readonly columns: readonly string[];
}

/** What a column is for masks: itself, or null where only masks know which of theirs it may be. */
export interface KnownColumn {
  readonly schema: string | null;
  readonly table: string | null;
  readonly column: string | null;
}

/** Whether a masked column may be read in a relation, and whether its name tells. */
export type Reach = 'no' | 'by its name' | 'by any name';

const ANY_ATTRIBUTE = 0;
const MAY_BE_ANY: KnownColumn = { schema: null, table: null, column: null };

export class Catalog {
  readonly #highestOid: number;
  readonly #meant: readonly MeantColumn[];
  readonly #byTable = new Map<number, MeantColumn[]>();
  readonly #byName = new Map<string, MeantColumn[]>();
  readonly #rules: readonly ColumnRule[];
  readonly #functions: ReadonlySet<string>;

  /** @param functions names of those that may read tables */
  constructor(
    rules: readonly ColumnRule[],
    highestOid: number,
    meant: readonly MeantColumn[],
    functions: ReadonlySet<string> = new Set(),
  ) {
    this.#functions = functions;
    this.#rules = rules;
    this.#highestOid = highestOid;
    this.#meant = meant;
    for (const column of meant) {
      const known = this.#byTable.get(column.tableOid);
      if (known === undefined) this.#byTable.set(column.tableOid, [column]);
      else known.push(column);
      const named = this.#byName.get(column.table);
      if (named === undefined) this.#byName.set(column.table, [column]);
      else named.push(column);
    }
  }

  /** Nothing is there that a rule means. */
  get isEmpty(): boolean {
    return this.#meant.length === 0;
  }

  get size(): number {
    return this.#meant.length + this.#functions.size;
  }

  /** What either knows; where both know of a column, as this one says. */
  and(older: Catalog): Catalog {
    const own = new Set(this.#meant.map(keyOf));
    return new Catalog(
      this.#rules,
      Math.max(this.#highestOid, older.#highestOid),
      [...this.#meant, ...older.#meant.filter((column) => !own.has(keyOf(column)))],
      new Set([...this.#functions, ...older.#functions]),
    );
  }

  /** Null: the table came after this was asked. `none`: no rule means the column. */
  columnAt(tableOid: number, attribute: number): KnownColumn | 'none' | null {
    if (this.isNewer(tableOid)) return null;
    const meant = this.#byTable.get(tableOid);
    if (meant === undefined) return 'none';
    // A whole row has the attribute 0.
    if (attribute === 0) return MAY_BE_ANY;
    const own = meant.filter((column) => column.attribute === attribute);
    const [first] = own;
    // By a view, or a part of a table with another name than the rule's, it may be what any rule means.
    if (meant.some((column) => column.attribute === ANY_ATTRIBUTE)) return MAY_BE_ANY;
    if (first === undefined) return 'none';
    return own.every((column) => this.#names(column)) ? first : MAY_BE_ANY;
  }

  /** Whether the rule's own words fit, and not only what it leads to. */
  #names({ rule, schema, table, column }: MeantColumn): boolean {
    const own = this.#rules[rule];
    return column !== null && own?.meansColumn(column) === true && own.mayMeanTable({ schema, name: table });
  }

  /** Whether one of the names is that of a function which may read tables. */
  runs(names: ReadonlySet<string>): boolean {
    if (this.#functions.size === 0) return false;
    for (const name of names) if (this.#functions.has(name)) return true;
    return false;
  }

  isNewer(tableOid: number): boolean {
    return tableOid > this.#highestOid;
  }

  /** Whether a relation of that name has the rule's column in it: its table, a part of it, or a view of it. */
  shows(rule: ColumnRule, relation: Relation): Reach {
    // Another session of the same policy may have asked: its rules are the same, and other objects.
    const own = this.#named(relation).filter((column) => this.#rules[column.rule]?.says(rule) === true);
    if (own.length === 0) return 'no';
    return own.some(({ attribute }) => attribute === ANY_ATTRIBUTE) ? 'by any name' : 'by its name';
  }

  /** Whether there is a column in this database that the rule means. */
  means(rule: ColumnRule): boolean {
    return this.#meant.some((column) => this.#rules[column.rule]?.says(rule) === true);
  }

  /** What COPY of a whole table sends; null if that is not known, or more than one may be meant. */
  columnsOf(relation: Relation): readonly string[] | null {
    const lists = new Set(this.#named(relation).map(({ columns }) => JSON.stringify(columns)));
    const [only] = lists;
    return only === undefined || lists.size > 1 ? null : (JSON.parse(only) as string[]);
  }

  /** Whether a rule means anything in a relation of that name. */
  knows(relation: Relation): boolean {
    return this.#named(relation).length > 0;
  }

  #named({ schema, name }: Relation): readonly MeantColumn[] {
    const named = this.#byName.get(name) ?? [];
    return schema === null ? named : named.filter((column) => column.schema === schema);
  }
}

function keyOf({ rule, tableOid, attribute, schema, table, column }: MeantColumn): string {
  return JSON.stringify([rule, tableOid, attribute, schema, table, column]);
}

/** Keeps what was asked, for all sessions with the same database. */
export interface CatalogKeeper {
  /** Null: nobody has had an answer yet. */
  current(): Catalog | null;
  /** Whether it is time to ask. */
  isDue(): boolean;
  keep(catalog: Catalog): void;
  /** The database did not answer a session as it should. */
  failed(): void;
  /** Whether it is time for a session that had no answer to ask again. */
  mayAskAgain(): boolean;
  /** Tables may have changed. */
  expire(): void;
}
