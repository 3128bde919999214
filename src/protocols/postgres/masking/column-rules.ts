/**
 * Which columns policy's masks name, and what a column of a result is to be taken for.
 *
 * By what PostgreSQL says of the column (table and number in it) where the database's catalog is known; for what is no column
 * of a table any more, on the safe side: whatever may be meant is. Where the catalog is not known, any table may be a view
 * and any function may read one, so their names say nothing: all they give is masked.
 */
import { fitsStars } from '../../../core/star-pattern.ts';
import type { ColumnFacts } from '../../../mask/masker.ts';
import type { Catalog, Reach } from './catalog.ts';
import type { DescribedColumn } from './result.ts';
import { type Relation, readsStatistics, type StatementFacts, touches } from './touch.ts';
import { nameOfType } from './types.ts';

/** `schema.table.column`, `table.column`, `column`, each part with stars. Null: any. */
export interface ColumnName {
  readonly schema: string | null;
  readonly table: string | null;
  readonly column: string;
}

export class ColumnRule implements ColumnName {
  readonly schema: string | null;
  readonly table: string | null;
  readonly column: string;

  constructor({ schema, table, column }: ColumnName) {
    this.schema = schema;
    this.table = table;
    this.column = column;
  }

  /** Whether the other is about the same columns, in the same words. */
  says(other: ColumnName): boolean {
    return this.schema === other.schema && this.table === other.table && this.column === other.column;
  }

  meansColumn(name: string): boolean {
    return fitsStars(this.column, name);
  }

  /** A schema that is not known may be the one. */
  mayMeanTable({ schema, name }: Relation): boolean {
    if (this.schema !== null && schema !== null && !fitsStars(this.schema, schema)) return false;
    if (this.table === null) return true;
    return name === '*' || fitsStars(this.table, name);
  }
}

/** No column of any table: only masks for all values, or for those of a type, mean it. */
const NO_COLUMN = '';
/** What is made after a database itself has higher numbers (access/transam.h). */
const FIRST_NORMAL_OID = 16_384;

export class ColumnRules {
  readonly rules: readonly ColumnRule[];

  constructor(names: readonly ColumnName[]) {
    this.rules = names.map((name) => new ColumnRule(name));
  }

  /**
   * What the column is for masks. @param lasting whether something was prepared before that may come out here
   */
  factsOf(
    column: DescribedColumn,
    facts: StatementFacts | null,
    catalog: Catalog | null,
    lasting: boolean,
  ): ColumnFacts {
    const type = nameOfType(column.typeOid);
    if (this.rules.length === 0) return { ...NOT_A_COLUMN, type };
    const { name, tableOid, attribute } = column;
    if (this.inStatistics(facts, catalog)) return { ...ANY_COLUMN, type };
    const known = tableOid === 0 ? null : (catalog?.columnAt(tableOid, attribute) ?? null);
    if (known !== null && known !== 'none') return { ...known, type };
    if (known === 'none') {
      // By another name it is still no column that a rule with a table means.
      const rule = this.rules.find((each) => each.table === null && each.meansColumn(name));
      return rule === undefined
        ? { ...NOT_A_COLUMN, type }
        : { schema: NO_COLUMN, table: NO_COLUMN, column: name, type };
    }
    const mayBeView = catalog === null && tableOid >= FIRST_NORMAL_OID;
    if (mayBeView || lasting || this.anyTouched(facts, catalog)) return { ...ANY_COLUMN, type };
    return { schema: null, table: null, column: name, type };
  }

  /** Whether the database has a column that a rule means, as far as is known. */
  meanSomething(catalog: Catalog | null): boolean {
    return this.rules.some((rule) => catalog?.means(rule) !== false);
  }

  /** Whether it may show values of a masked column out of the statistics. */
  inStatistics(facts: StatementFacts | null, catalog: Catalog | null): boolean {
    return readsStatistics(facts) && this.meanSomething(catalog);
  }

  /** Whether it calls a function of the database's own, which may read whatever it likes. */
  runsFunction(facts: StatementFacts | null, catalog: Catalog | null): boolean {
    if (facts === null || !this.meanSomething(catalog)) return false;
    return catalog === null ? facts.calls : catalog.runs(facts.names);
  }

  /** Whether the statement may show values of a masked column in other words. */
  anyTouched(facts: StatementFacts | null, catalog: Catalog | null): boolean {
    if (this.inStatistics(facts, catalog) || this.runsFunction(facts, catalog)) return true;
    return this.rules.some((rule) => touches(facts, rule, reachesIn(catalog)));
  }
}

const NOT_A_COLUMN = { schema: NO_COLUMN, table: NO_COLUMN, column: NO_COLUMN } as const;
export const ANY_COLUMN = { schema: null, table: null, column: null } as const;

/** Without a catalog any relation but the system's may be a view of the table, with other names for its columns. */
export function reachesIn(catalog: Catalog | null): (relation: Relation, rule: ColumnRule) => Reach {
  return (relation, rule) => {
    if (catalog === null && !isOfTheSystem(relation)) return 'by any name';
    const shown = catalog?.shows(rule, relation) ?? 'no';
    if (shown !== 'no' || (catalog !== null && isSettled(relation))) return shown;
    return rule.mayMeanTable(relation) ? 'by its name' : 'no';
  };
}

/** Schemas in which nobody makes tables. */
const OF_THE_SYSTEM: ReadonlySet<string | null> = new Set(['pg_catalog', 'information_schema']);
/** What drivers ask for types and tables, and find in pg_catalog before they look anywhere else. */
const CATALOGS =
  /^pg_(?:am|attrdef|attribute|class|collation|constraint|database|description|enum|extension|index|inherits|namespace|operator|proc|range|roles|settings|type)$/;

/** No table is made by that name after the database was asked; a CTE is none, as far as is known. */
function isSettled(relation: Relation): boolean {
  return relation.isCte === true || isOfTheSystem(relation);
}

function isOfTheSystem({ schema, name }: Relation): boolean {
  return OF_THE_SYSTEM.has(schema) || (schema === null && CATALOGS.test(name));
}
