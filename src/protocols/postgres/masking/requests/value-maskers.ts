/** Which masker is for a value of a request: that of the columns it is for, or the one for what belongs to no column. */
import type { Masker, ValueMasker } from '../../../../mask/masker.ts';
import type { Catalog } from '../catalog.ts';
import type { ColumnRule, ColumnRules } from '../column-rules.ts';
import type { Relation } from '../touch.ts';
import type { ValueFacts } from './request-facts.ts';

/** Of a statement, as far as its values are concerned. */
export interface Relations {
  readonly relations: readonly Relation[];
}

const NO_RELATIONS: Relations = { relations: [] };

export class ValueMaskers {
  readonly #masker: Masker;
  readonly #rules: readonly ColumnRule[];
  readonly #strict: readonly ColumnRule[];
  /** By the rules that mean a column. A policy has few. */
  readonly #made = new Map<string, ValueMasker>();

  readonly #known: () => Catalog | null;

  /**
   * @param strict those of which values may not pass that cannot be followed
   * @param known what is known of the database's tables; null: nothing
   */
  constructor(masker: Masker, columns: ColumnRules, strict = columns, known = (): Catalog | null => null) {
    this.#known = known;
    this.#masker = masker;
    this.#rules = columns.rules;
    this.#strict = strict.rules;
  }

  /** For what is known to be of no column that is meant. */
  get forAll(): Masker {
    return this.#masker;
  }

  /** Null: the value is of no column that is meant. @param facts of a parameter or constant; null: it may be for any */
  ofColumns(
    value: Pick<ValueFacts, 'columns'> | null,
    { relations }: Relations = NO_RELATIONS,
  ): ValueMasker | null {
    if (this.#rules.length === 0) return null;
    if (value === null) return this.#made.get('') ?? this.#make('', [null]);
    if (value.columns.size === 0) return null;
    const meant = [...value.columns].filter((column) => this.#meansOne(this.#rules, column, relations));
    if (meant.length === 0) return null;
    const key = JSON.stringify(meant);
    return this.#made.get(key) ?? this.#make(key, meant);
  }

  /** Of a column of that table, or the one for all; null: nothing is to be done. */
  ofTable(table: Relation, column: string): ValueMasker {
    return this.ofColumns({ columns: new Set([column]) }, { relations: [table] }) ?? this.#masker;
  }

  /** Whether values that go there may be for a column that is meant. */
  means(table: Relation): boolean {
    return this.#rules.some((rule) => this.#mayMean(rule, table));
  }

  /** What is known of the database's tables by now. */
  get catalog(): Catalog | null {
    return this.#known();
  }

  #meansOne(rules: readonly ColumnRule[], column: string, relations: readonly Relation[]): boolean {
    return rules.some(
      (rule) => rule.meansColumn(column) && relations.some((relation) => this.#mayMean(rule, relation)),
    );
  }

  /** By its name, or as a partition or an heir of what is meant. */
  #mayMean(rule: ColumnRule, table: Relation): boolean {
    return rule.mayMeanTable(table) || this.catalog?.shows(rule, table) === 'by its name';
  }

  /** Whether a strict mask means one of the columns. */
  meansStrictly(columns: ReadonlySet<string>, { relations }: Relations): boolean {
    if (this.#strict.length === 0) return false;
    return [...columns].some((column) => this.#meansOne(this.#strict, column, relations));
  }

  /** Whether a strict mask means a column of one of the tables. */
  meansStrictlyIn({ relations }: Relations): boolean {
    return this.#strict.some((rule) => relations.some((relation) => this.#mayMean(rule, relation)));
  }

  /** Whether a strict mask names columns. */
  get isStrict(): boolean {
    return this.#strict.length > 0;
  }

  /** Whether it is a view of a column that a strict mask means, by what is known of the database. */
  isView(relation: Relation): boolean {
    return this.#strict.some((rule) => this.catalog?.shows(rule, relation) === 'by any name');
  }

  /** Whether code names a column of a strict mask, and its table. */
  isNamedIn(code: string): boolean {
    if (this.#strict.length === 0) return false;
    const words = [...new Set(code.toLowerCase().match(WORDS))];
    const relations = words.map((name) => ({ schema: null, name }));
    return words.some((word) => this.#meansOne(this.#strict, word, relations));
  }

  /** Where several columns are meant, the first of them says what is done unless another masks the whole value. */
  #make(key: string, columns: readonly (string | null)[]): ValueMasker {
    const made = columns.map(
      (column) => this.#masker.column({ schema: null, table: null, column, type: null }) ?? this.#masker,
    );
    const masker = made.find(({ whole }) => whole !== null) ?? made[0] ?? this.#masker;
    if (this.#made.size < MADE_MAX) this.#made.set(key, masker);
    return masker;
  }
}

/** As far as names are written as they are. */
const WORDS = /[\p{L}_][\p{L}\p{N}_$]*/gu;

/** Names come from agents. */
const MADE_MAX = 256;
