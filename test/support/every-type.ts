/**
 * Values of every type that PostgreSQL has of itself, and of some that users make or that its extensions bring: a table of
 * each with its array, for tests that move them about.
 */

/** Literals by the name of their type; of types without any, NULL is the only value a client can give. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  aclitem: ['app=arwdDxt/app', '=r/app'],
  bit: ['0', '1'],
  bool: ['true', 'false'],
  box: ['(1.5,2),(-3,4e10)', '(0,0),(0,0)'],
  bpchar: ['no  ', ''],
  bytea: ['\\xdeadbeef00ff', '\\x', '\\x5c5c0a09'],
  char: ['x', '\\377', ''],
  cid: ['0', '4294967295'],
  cidr: ['10.0.0.0/8', '2001:db8::/32'],
  circle: ['<(1,2),3.5>', '<(0,0),0>'],
  date: ['2020-02-29', '4713-01-01 BC', 'infinity'],
  datemultirange: ['{[2020-01-01,2020-02-01),[2021-01-01,)}', '{}'],
  daterange: ['[2020-01-01,2020-02-01)', 'empty', '(,)'],
  float4: ['1.5', '-1e-30', 'NaN'],
  float8: ['0.1', '-Infinity', '1.7976931348623157e308', '-0'],
  gtsvector: [],
  inet: ['10.1.2.3', '2001:db8::1/64'],
  int2: ['-32768', '32767'],
  int4: ['-2147483648', '42'],
  int4multirange: ['{[1,5),[7,9)}', '{}'],
  int4range: ['[1,5)', '(,7)', 'empty'],
  int8: ['-9223372036854775808', '9007199254740993'],
  int8multirange: ['{[1,50000000000)}'],
  int8range: ['[1,50000000000)'],
  interval: ['1 year 2 mons 3 days 04:05:06.789', '-178000000 years', '00:00:00'],
  json: ['{"a": [1, 2.50, "x\\u0041\\n"],  "a": null}', '"{}\\\\"', '1e400'],
  jsonb: ['{"a": [1, 2.50, "xA\\n", {}]}', '"text"', '12345678901234567890.5', 'null'],
  jsonpath: ['$."a"[*]?(@ > 1 && @.b like_regex "^x")', 'strict $.a'],
  line: ['{1,-2,3.5}'],
  lseg: ['[(1,2),(3.25,4)]'],
  macaddr: ['08:00:2b:01:02:03'],
  macaddr8: ['08:00:2b:01:02:03:04:05'],
  money: ['12.34', '-92233720368547758.08'],
  name: ['a name', 'Ä'.repeat(31)],
  numeric: ['0.00', '-123456789012345678901234567890.000000001', '1e200', 'NaN', '-Infinity'],
  nummultirange: ['{[1.5,2.5),(9,10]}'],
  numrange: ['(1.5,2.50]', '[,]'],
  oid: ['0', '4294967295'],
  path: ['[(1,2),(3,4)]', '((0,0),(1,1.5),(2,0))'],
  pg_brin_bloom_summary: [],
  pg_brin_minmax_multi_summary: [],
  pg_dependencies: [],
  pg_lsn: ['0/0', '16/B374D848'],
  pg_mcv_list: [],
  pg_ndistinct: [],
  pg_node_tree: [],
  pg_snapshot: ['10:20:10,14,15'],
  point: ['(1.5,-2)', '(NaN,Infinity)'],
  polygon: ['((1,2),(3,4),(5,6.5))'],
  refcursor: ['<unnamed portal 1>'],
  regclass: ['pg_class', '999999'],
  regcollation: ['"C"'],
  regconfig: ['english'],
  regdictionary: ['simple'],
  regnamespace: ['pg_catalog'],
  regoper: ['pg_catalog.||/'],
  regoperator: ['+(integer,integer)'],
  regproc: ['pg_sleep'],
  regprocedure: ['abs(numeric)'],
  regrole: ['app'],
  regtype: ['timestamp with time zone', 'int4[]'],
  text: ['', 'tab\tnl\nback\\slash \\N \\. "q" \'q\' {x} (y), é 漢 🂡', '\\N', 'NULL'],
  tid: ['(0,1)', '(4294967295,65535)'],
  time: ['03:04:05.678901', '24:00:00'],
  timestamp: ['2020-01-02 03:04:05.678901', 'infinity', '0044-03-15 12:00:00 BC'],
  timestamptz: ['2020-01-02 03:04:05.678901+00', '-infinity'],
  timetz: ['03:04:05+01', '24:00:00-15:59'],
  tsmultirange: ['{["2020-01-01 00:00:00","2020-01-02 00:00:00")}'],
  tsquery: ["'fat' & ( 'rat':AB | !'cat':* ) <2> 'x y'"],
  tsrange: ['["2020-01-01 00:00:00",)'],
  tstzmultirange: ['{["2020-01-01 00:00:00+00","2020-01-02 00:00:00+00")}'],
  tstzrange: ['("2020-01-01 00:00:00+00",infinity]'],
  tsvector: ["'a':1A 'b c':2,3B 'd''e':16383", ''],
  txid_snapshot: ['10:20:10,14,15'],
  uuid: ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  varbit: ['1011', ''],
  varchar: ['plain', ' '],
  xid: ['0', '4294967295'],
  xid8: ['18446744073709551615'],
  xml: ['<a b="c&amp;d"><!-- x --><![CDATA[<y>]]></a>', 'text'],
};

/** Types that users make, in the order in which they need each other. */
const MADE = `
create type every.mood as enum ('sad', 'it''s "ok"', 'ha, ppy');
create type every.pair as (x int, "y z" text, gone timestamptz);
create type every.nested as (p every.pair, ps every.pair[], m every.mood);
create domain every.positive as int check (value > 0);
create domain every.words as text check (length(value) < 99);
create domain every.pair_domain as every.pair check ((value).x > 0);
create type every.float_range as range (subtype = float8, subtype_diff = float8mi);
create type every.text_range as range (subtype = text, collation = "C");
`;
const OF_USERS: Readonly<Record<string, readonly string[]>> = {
  'every.mood': ['sad', 'it\'s "ok"', 'ha, ppy'],
  'every.pair': ['(1,"a ""b"" (c), \\\\d",)', '(,,)', '(2,"",infinity)'],
  'every.nested': ['("(1,x,)","{""(2,\\\\""y, z\\\\"",)"",NULL}",sad)', '(,{},)'],
  'every.positive': ['7'],
  'every.words': ['a "b" {c}', ''],
  'every.pair_domain': ['(1,x,)'],
  'every.float_range': ['[1.5,2.5)'],
  'every.float_multirange': ['{[1.5,2.5),[3,4)}'],
  'every.text_range': ['["a,b","c\\"d")'],
};
/** Of extensions that the owner of a database may create; `btree_gist` has none. */
const EXTENSIONS = ['hstore', 'citext', 'ltree', 'cube', 'seg', 'isn', 'intarray'];
const OF_EXTENSIONS: Readonly<Record<string, readonly string[]>> = {
  hstore: ['a=>1, "b c"=>NULL, "d"=>"e\\"f"'],
  citext: ['Mixed Case'],
  ltree: ['Top.Science.Astronomy'],
  lquery: ['*.Sci*{1,2}.!a|b'],
  ltxtquery: ['Europe & !Trans*@'],
  cube: ['(1, 2.5),(3, 4)'],
  seg: ['1.50 .. 2.5', '~6.5'],
  isbn13: ['978-0-306-40615-7'],
  issn: ['1436-4522'],
  query_int: ['1&(2|!3)'],
};

/** Names of the types of pg_catalog that there are values of, or none to be had. */
export const BUILT_IN: readonly string[] = Object.keys(VALUES);

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;
/** `bit` is bit(1), `char` needs its quotes, or it would be another. */
const written = (type: string): string => (type in VALUES ? `pg_catalog."${type}"` : type);
const tableOf = (type: string): string => `every."t_${type.replace('.', '_')}"`;

/** Makes the schema `every` anew: tables, large objects with what they hold, and things that depend on each other. */
export function everyType(): string {
  const lines = [
    "set client_min_messages = error; set xmloption = content; set standard_conforming_strings = on; set timezone = 'UTC';",
    'drop schema if exists every cascade;',
    'select lo_unlink(oid) from pg_largeobject_metadata;',
    'create schema every;',
    ...EXTENSIONS.map((name) => `create extension if not exists ${name} schema public;`),
    MADE,
  ];
  for (const [type, values] of Object.entries({ ...VALUES, ...OF_USERS, ...OF_EXTENSIONS })) {
    const name = tableOf(type);
    const hasArray = values.length > 0;
    lines.push(
      `create table ${name} (id int primary key, v ${written(type)}${hasArray ? `, a ${written(type)}[]` : ''});`,
    );
    lines.push(`insert into ${name} (id) values (0);`);
    values.forEach((value, index) => {
      const literal = `${quoted(value)}::${written(type)}`;
      lines.push(
        `insert into ${name} values (${index + 1}, ${literal}, array[null, ${literal}, ${literal}]);`,
      );
    });
    if (!hasArray) continue;
    // No elements, two dimensions, a lower bound that is not 1.
    lines.push(`insert into ${name} values (1001, null, '{}');`);
    lines.push(`insert into ${name} select 1002, null, array[[v, v], [null, v]] from ${name} where id = 1;`);
    lines.push(
      `insert into ${name} select 1003, null, array_fill(v, array[2], array[-3]) from ${name} where id = 1;`,
    );
  }
  lines.push(
    "select lo_from_bytea(0, decode(repeat('00ff41', 30000), 'hex'));",
    "select lo_from_bytea(0, '');",
    "select lo_from_bytea(0, decode(repeat('5c', 3000000), 'hex'));",
    // Rows and values larger than what is held.
    'create table every.large (id int, v text, b bytea);',
    "insert into every.large values (1, repeat('long ', 600000), decode(repeat('00ff0a5c', 800000), 'hex')), (2, 'x', null);",
    `create table every.wide (${Array.from({ length: 1_500 }, (_, n) => `c${n} smallint`).join(', ')});`,
    `insert into every.wide values (${Array.from({ length: 1_500 }, (_, n) => n).join(', ')});`,
    'create table every.parted (a int, b text) partition by range (a);',
    'create table every.parted_1 partition of every.parted for values from (0) to (10);',
    'create table every.parted_2 partition of every.parted default;',
    "insert into every.parted values (1, 'low'), (100, 'high'), (null, null);",
    'create table every.generated (a int, b int generated always as (a * 2) stored, c int generated always as identity);',
    'insert into every.generated (a) values (1), (2);',
    'create table every.no_columns (); insert into every.no_columns default values;',
    "create sequence every.seq as smallint start -5 increment -2; select nextval('every.seq');",
    'create view every.shown as select id, v from every.t_text;',
    'create materialized view every.kept as select id, upper(v) as v from every.t_text;',
    'create table every."odd ""name"" É" ("a ""col""" int, "select" text); insert into every."odd ""name"" É" values (1, \'x\');',
    "comment on table every.large is 'a comment with ''quotes'' and \\ and é';",
  );
  return `${lines.join('\n')}\n`;
}
