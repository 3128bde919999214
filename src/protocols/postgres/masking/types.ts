/**
 * PostgreSQL's own types by their object ids, which never change (PostgreSQL 18, catalog/pg_type.dat): their names, and what
 * kind of value each is for masking.
 */

export type Family =
  /** Any text is a value of it, in both formats. */
  | 'text'
  | 'json'
  /** JSON, in binary after a byte that says the version. */
  | 'jsonb'
  | 'bytea'
  /** Not any text is a value of it: what is masked becomes NULL. */
  | 'typed'
  | 'array'
  | 'record'
  /** Of an extension or made by a user: an enum, a composite, citext, hstore, … */
  | 'unknown';

/** Name, id, id of the array of it. */
const TYPES: readonly (readonly [name: string, oid: number, array: number])[] = [
  ['bool', 16, 1000],
  ['bytea', 17, 1001],
  ['char', 18, 1002],
  ['name', 19, 1003],
  ['int8', 20, 1016],
  ['int2', 21, 1005],
  ['int4', 23, 1007],
  ['regproc', 24, 1008],
  ['text', 25, 1009],
  ['oid', 26, 1028],
  ['tid', 27, 1010],
  ['xid', 28, 1011],
  ['cid', 29, 1012],
  ['oidvector', 30, 1013],
  ['json', 114, 199],
  ['xml', 142, 143],
  ['point', 600, 1017],
  ['lseg', 601, 1018],
  ['path', 602, 1019],
  ['box', 603, 1020],
  ['polygon', 604, 1027],
  ['line', 628, 629],
  ['cidr', 650, 651],
  ['float4', 700, 1021],
  ['float8', 701, 1022],
  ['unknown', 705, 0],
  ['circle', 718, 719],
  ['macaddr8', 774, 775],
  ['money', 790, 791],
  ['macaddr', 829, 1040],
  ['inet', 869, 1041],
  ['aclitem', 1033, 1034],
  ['bpchar', 1042, 1014],
  ['varchar', 1043, 1015],
  ['date', 1082, 1182],
  ['time', 1083, 1183],
  ['timestamp', 1114, 1115],
  ['timestamptz', 1184, 1185],
  ['interval', 1186, 1187],
  ['timetz', 1266, 1270],
  ['bit', 1560, 1561],
  ['varbit', 1562, 1563],
  ['numeric', 1700, 1231],
  ['refcursor', 1790, 2201],
  ['record', 2249, 2287],
  ['cstring', 2275, 1263],
  ['uuid', 2950, 2951],
  ['pg_lsn', 3220, 3221],
  ['tsvector', 3614, 3643],
  ['tsquery', 3615, 3645],
  ['jsonb', 3802, 3807],
  ['int4range', 3904, 3905],
  ['numrange', 3906, 3907],
  ['tsrange', 3908, 3909],
  ['tstzrange', 3910, 3911],
  ['daterange', 3912, 3913],
  ['int8range', 3926, 3927],
  ['jsonpath', 4072, 4073],
  ['xid8', 5069, 271],
  ['pg_mcv_list', 5017, 0],
  ['anyarray', 2277, 0],
];

const TEXTS: ReadonlySet<string> = new Set([
  'char',
  'name',
  'text',
  'xml',
  'unknown',
  'bpchar',
  'varchar',
  'refcursor',
  'cstring',
  'jsonpath',
]);
const OF_THEIR_OWN: ReadonlyMap<string, Family> = new Map<string, Family>([
  ['json', 'json'],
  ['jsonb', 'jsonb'],
  ['bytea', 'bytea'],
  ['record', 'record'],
  // Its text is that of a bytea.
  ['pg_mcv_list', 'bytea'],
  // Of what, its bytes say.
  ['anyarray', 'array'],
]);

/** What is above was made in the database (FirstNormalObjectId). */
const FIRST_NORMAL_OID = 16_384;

const NAMES = new Map<number, string>();
const OIDS = new Map<string, number>();
const FAMILIES = new Map<number, Family>();
const ELEMENTS = new Map<number, number>();

for (const [name, oid, array] of TYPES) {
  NAMES.set(oid, name);
  OIDS.set(name, oid);
  FAMILIES.set(oid, TEXTS.has(name) ? 'text' : (OF_THEIR_OWN.get(name) ?? 'typed'));
  if (array === 0) continue;
  NAMES.set(array, `_${name}`);
  OIDS.set(`_${name}`, array);
  FAMILIES.set(array, 'array');
  ELEMENTS.set(array, oid);
}

export function familyOf(typeOid: number): Family {
  return FAMILIES.get(typeOid) ?? (typeOid === 0 || typeOid >= FIRST_NORMAL_OID ? 'unknown' : 'typed');
}

/** The type of that name; 0: not one of PostgreSQL's own. */
export function oidOfType(name: string): number {
  return OIDS.get(name) ?? 0;
}

/** As pg_type has it; null: not one of PostgreSQL's own. */
export function nameOfType(typeOid: number): string | null {
  return NAMES.get(typeOid) ?? null;
}

/** The type of an array's elements; 0: not known. */
export function elementOf(arrayOid: number): number {
  return ELEMENTS.get(arrayOid) ?? 0;
}

/**
 * Of those that are no text: what is in their binary form is a place in a table or in space, a time, bits or a MAC address, and nothing
 * anybody looks for. Numbers of objects (`regclass`) are none of the values they stand for.
 */
const PLAIN_BINARY: ReadonlySet<number> = new Set([
  16, 24, 27, 600, 601, 602, 603, 604, 628, 718, 774, 829, 1083, 1186, 1266, 1560, 1562, 2202, 2203, 2204,
  2205, 2206, 3220, 3734, 3769, 4089, 4096, 4191,
]);

export function isPlainBinary(typeOid: number): boolean {
  return PLAIN_BINARY.has(typeOid);
}

export const BOOL = 16;
