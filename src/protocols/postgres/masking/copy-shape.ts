/** What a COPY statement says of the data that follows: which columns, in which format. */
import { isNode, type Node } from '../parser.ts';
import { listOf, relationOf, stringOf, targetOf } from '../tree.ts';

export interface CopyShape {
  readonly isFrom: boolean;
  readonly format: 'text' | 'csv' | 'binary';
  readonly delimiter: string;
  readonly quote: string;
  readonly escape: string;
  /** The text that is NULL. */
  readonly nullText: string;
  /** In some columns that text is a text. */
  readonly nullIsText: boolean;
  readonly header: boolean;
  /** Whose columns they are; null: those of a query. */
  readonly table: { readonly schema: string | null; readonly name: string } | null;
  /** Null: all of the table's, or those of the query. */
  readonly columns: readonly string[] | null;
  /**
   * What the query gives, in its order: the name of the column it is, if it is one. Null: not known, as there is a star in it.
   */
  readonly query: readonly (string | null)[] | null;
}

/** Null: the data goes not to the client but to a file or a program of the server. */
export function copyShape(node: Node): CopyShape | null {
  if (node['is_program'] === true || typeof node['filename'] === 'string') return null;
  const options = new Map<string, string>();
  for (const item of listOf(node['options'])) {
    const option = isNode(item) && isNode(item['DefElem']) ? item['DefElem'] : null;
    if (option !== null) options.set(String(option['defname']), optionValue(option['arg']));
  }
  const format = options.get('format');
  const csv = format === 'csv';
  const quote = options.get('quote') ?? '"';
  const relation = isNode(node['relation']) ? node['relation'] : null;
  const columns = listOf(node['attlist']).map(nameOf);
  const table = relation ?? wholeTable(node['query']);
  return {
    isFrom: node['is_from'] === true,
    format: csv ? 'csv' : format === 'binary' ? 'binary' : 'text',
    delimiter: options.get('delimiter') ?? (csv ? ',' : '\t'),
    quote,
    escape: options.get('escape') ?? quote,
    nullText: options.get('null') ?? (csv ? '' : '\\N'),
    nullIsText: options.has('force_not_null'),
    header: !['false', 'off', '0'].includes(options.get('header')?.toLowerCase() ?? 'off'),
    table: table === null ? null : relationOf(table),
    columns: columns.length === 0 ? null : columns,
    query: table === null ? targetsOf(node['query']) : null,
  };
}

/** The table of `SELECT * FROM t`, which is that table's columns in their order (generated ones too: then the count tells). */
function wholeTable(query: unknown): Node | null {
  const select = isNode(query) ? query['SelectStmt'] : undefined;
  if (!isNode(select) || isNode(select['withClause']) || isNode(select['intoClause'])) return null;
  const [target, ...others] = listOf(select['targetList']);
  const [source, ...sources] = listOf(select['fromClause']);
  const value = targetOf(target)?.['val'];
  const reference = isNode(value) ? value['ColumnRef'] : undefined;
  const fields = isNode(reference) ? listOf(reference['fields']) : [];
  const isStar = fields.length === 1 && isNode(fields[0]) && 'A_Star' in fields[0];
  if (!isStar || others.length > 0 || sources.length > 0) return null;
  const table = isNode(source) ? source['RangeVar'] : undefined;
  return isNode(table) && !isNode(table['alias']) ? table : null;
}

/** Of a plain SELECT: for each of its columns the name of the column it is, or null. */
function targetsOf(query: unknown): (string | null)[] | null {
  const select = isNode(query) ? query['SelectStmt'] : undefined;
  if (!isNode(select) || !Array.isArray(select['targetList']) || isNode(select['withClause'])) return null;
  const sources = JSON.stringify(select['fromClause'] ?? []);
  // From other than tables by their own column names anything may come under any name.
  if (/"(?:RangeSubselect|RangeFunction|colnames|JoinExpr|RangeTableFunc)"/.test(sources)) return null;
  const targets: (string | null)[] = [];
  for (const item of select['targetList']) {
    const target = targetOf(item)?.['val'];
    const reference = isNode(target) ? target['ColumnRef'] : undefined;
    const fields = isNode(reference) ? listOf(reference['fields']) : [];
    if (fields.some((field) => isNode(field) && 'A_Star' in field)) return null;
    // The last name may be a table's: then it is its whole row.
    if (sources.includes(JSON.stringify(nameOf(fields.at(-1))))) return null;
    targets.push(fields.length === 0 ? null : nameOf(fields.at(-1)));
  }
  return targets;
}

function nameOf(item: unknown): string {
  return stringOf(item) ?? '';
}

const VALUES = [
  ['String', 'sval', ''],
  ['Boolean', 'boolval', 'false'],
  ['Integer', 'ival', '0'],
] as const;

/** An option's value as text; one that is only named is on. */
function optionValue(arg: unknown): string {
  if (!isNode(arg)) return 'on';
  for (const [kind, key, otherwise] of VALUES) {
    const value = arg[kind];
    if (isNode(value)) return `${value[key] ?? otherwise}`;
  }
  return 'on';
}
