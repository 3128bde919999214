/**
 * An operation: what an agent asks of a server inside a flow, in words that do not depend on the protocol. Protocols
 * make them, policy judges them; neither knows the other.
 *
 * Rule: an operation never holds what was sent (texts, values), only what kind of thing it is and what it is about.
 */

/**
 * What an operation does. Several may hold of one: `WITH gone AS (DELETE FROM a RETURNING *) SELECT …` reads and writes.
 * Documented in docs/policy.md.
 */
export const EFFECTS = [
  'read',
  'write',
  /** UPDATE or DELETE whose condition looks at no row: none, or one without a column, or `a = a`. */
  'unbounded-write',
  'schema-change',
  /** DROP, TRUNCATE, a column or partition taken away. */
  'schema-destruction',
  /** Who may do what, and as whom this session acts. */
  'privilege-change',
  /** Code that is run by the server and not read here: DO, functions, triggers, CALL. */
  'code',
  /** Programs and libraries on the server's host. */
  'server-program',
  /** Files on the server's host. */
  'server-file',
  /** The server's configuration, other sessions, replication. */
  'system-change',
  /** Other servers, reached by this one. */
  'foreign',
  /** Settings and channels of this session. */
  'session',
  'transaction',
] as const;

export type Effect = (typeof EFFECTS)[number];

/** Lower case unless it was quoted; `schema` is null where the text names none and the server's search path decides. */
export interface ObjectName {
  readonly schema: string | null;
  readonly name: string;
}

/** For people: `schema.name`. */
export function qualifiedName({ schema, name }: ObjectName): string {
  return schema === null ? name : `${schema}.${name}`;
}

/** A column that is taken or set; `*`: all of the relation. Null: of which relation is not known. */
export interface ColumnName {
  readonly schema: string | null;
  readonly table: string | null;
  readonly column: string;
}

export interface Operation {
  readonly protocol: 'postgres';
  /** In the protocol's own words: `SELECT`, `DROP`, … For people. */
  readonly verb: string;
  readonly effects: ReadonlySet<Effect>;
  /** Tables, views, sequences and whatever else stands where a table may. */
  readonly relations: readonly ObjectName[];
  readonly functions: readonly ObjectName[];
  /** Those that may be meant where the text leaves it open. */
  readonly columns: readonly ColumnName[];
}
