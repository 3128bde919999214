/**
 * The schema `plain`: a table with a column of every common type, values that are awkward to write, rows too long to be held, and a large
 * object. In none of it a detector finds anything.
 */
export const PLAIN_SCHEMA = `create schema plain;
create type plain.mood as enum ('sad', 'happy');
create type plain.pair as (x int, y text);
create table plain.all_of_them (a smallint, b int, c bigint, d numeric, e real, f double precision, g money,
  h varchar(20), i char(5), j text, k bytea, l timestamp, m timestamptz, n date, o time, p timetz, q interval, r boolean,
  s plain.mood, u point, v box, w polygon, x cidr, y inet, z macaddr, aa bit(3), bb varbit, cc tsvector, dd uuid,
  ee xml, ff json, gg jsonb, hh int[], ii text[], jj plain.pair, kk plain.pair[], ll int4range, mm tstzrange,
  nn int generated always as (b * 2) stored);
insert into plain.all_of_them values (1, 2, 3, 4.5, 1.5, 2.5, 6.7, 'vc', 'ch', E'te\\\\xt\\ttab\\nnl "q" {x} (y)',
  '\\xdeadbeef00', '2020-01-02 03:04:05.678', '2020-01-02 03:04:05+00', '2020-01-02', '03:04:05', '03:04:05+01',
  '1 day 2 hours', true, 'happy', '(1,2)', '(1,2),(3,4)', '((1,2),(3,4),(5,6))', '10.0.0.0/8', '10.1.2.3',
  '08:00:2b:01:02:03', '101', '1101', 'a fat cat', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '<a>b</a>',
  '{"a": [1, 2, "x\\u0041"]}', '{"a": [1, 2, "x"]}', '{1,2,NULL}', '{"a b",NULL,"q\\"uote","{x}"}',
  row(1, 'y "z" (a)'), array[row(1, 'a')::plain.pair, null], '[1,5)', '[2020-01-01,)');
insert into plain.all_of_them default values;
insert into plain.all_of_them (j, k) select repeat(md5(i::text), 1000), decode(repeat(md5(i::text), 500), 'hex')
  from generate_series(1, 30) i;
insert into plain.all_of_them (j) values (repeat('long', 700000));
select lo_from_bytea(0, decode(repeat('00ff41', 30000), 'hex'));`;
