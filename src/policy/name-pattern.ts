/**
 * Names of tables and functions in rules about operations (`name`, `schema.name`) and of columns in masks (`column`,
 * `table.column`, `schema.table.column`); stars stand for any characters.
 */
import { fitsStars } from '../core/star-pattern.ts';
import type { ColumnName, ObjectName } from '../flow/operation.ts';
import type { ColumnPattern, NamePattern } from './types.ts';

/** @param text as the schema allows it: one dot at the most */
export function parseNamePattern(text: string): NamePattern {
  const dot = text.indexOf('.');
  return dot === -1
    ? { schema: null, name: text }
    : { schema: text.slice(0, dot), name: text.slice(dot + 1) };
}

/**
 * Whether the pattern may mean the object. An object without a schema is wherever the server's search path leads, so it
 * may be in any; the name `*` is everything in a schema.
 */
export function mayMean(pattern: NamePattern, object: ObjectName): boolean {
  if (pattern.schema !== null && object.schema !== null && !fitsStars(pattern.schema, object.schema))
    return false;
  return object.name === '*' || fitsStars(pattern.name, object.name);
}

/** Whether the pattern certainly means the object: one without a schema is only meant by a pattern without. */
export function surelyMeans(pattern: NamePattern, object: ObjectName): boolean {
  if (pattern.schema !== null && (object.schema === null || !fitsStars(pattern.schema, object.schema)))
    return false;
  return fitsStars(pattern.name, object.name);
}

/** @param text as the schema allows it: two dots at the most */
export function parseColumnPattern(text: string): ColumnPattern {
  const [column = '', table = null, schema = null] = text.split('.').reverse();
  return { schema, table, column };
}

/**
 * Whether the pattern certainly means the column: what is not known of it is only meant by a pattern that leaves it out, and
 * all columns (`*`) only by one that says so.
 */
export function surelyMeansColumn(pattern: ColumnPattern, column: ColumnName): boolean {
  const sure = (wanted: string | null, name: string | null): boolean =>
    wanted === null || (name !== null && fitsStars(wanted, name));
  return (
    sure(pattern.schema, column.schema) &&
    sure(pattern.table, column.table) &&
    (column.column === '*' ? pattern.column === '*' : fitsStars(pattern.column, column.column))
  );
}

/** Whether the pattern may mean the column: what is not known of it (null) may be anything. */
export function mayMeanColumn(
  pattern: ColumnPattern,
  column: { readonly [Part in keyof ColumnPattern]: string | null },
): boolean {
  const may = (wanted: string | null, name: string | null): boolean =>
    wanted === null || name === null || fitsStars(wanted, name);
  return (
    may(pattern.schema, column.schema) &&
    may(pattern.table, column.table) &&
    may(pattern.column, column.column)
  );
}
