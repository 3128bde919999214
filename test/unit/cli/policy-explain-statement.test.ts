import t from 'tap';
import { script } from './script.ts';

const POLICY = `
-- policy.yaml --
version: 1
agents: [{name: web, match: [{run: web}]}, {name: job, match: [{run: job}]}]
destinations: [{name: db, cidrs: [192.0.2.7], ports: [5432], protocol: postgres, tls: {server_name: db.example.org}}]
rules: [{name: all, destinations: [db], action: allow}]
operations:
  - {name: destruction, agents: [web], destinations: [db], effects: [schema-destruction], action: deny}
  - {name: orders, agents: [web], destinations: [db], relations: [orders], columns_other_than: [orders.id], action: deny}
  - {name: ask, agents: [web], destinations: [db], effects: [unbounded-write], action: hold}
  - {name: files, agents: [web], destinations: [db], functions: [pg_read_file], action: observe}
`;

t.test('what a statement does, and which rule says what', (t) =>
  script(
    t,
    null,
    `${POLICY}
$ sluice policy explain policy.yaml --agent web --to 192.0.2.7:5432 --statement 'DROP/**/TABLE s.t'
| flow: allowed by rule all: TLS is added, verified as db.example.org; destination db, port 5432
| denied by rule destruction
|
| DROP: schema-change, schema-destruction
|   relations: s.t
|   columns: s.t.*
|
|    RULE         ACTION   FITS  WHY
| *  destruction  deny     yes   it fits
|    orders       deny     no    it names none of these relations
|    ask          hold     no    it has none of these effects
|    files        observe  no    it calls none of these functions
$ sluice policy explain policy.yaml --agent web --to 192.0.2.7:5432 --statement 'SELECT id FROM orders; SELECT card FROM orders'
|~ flow: allowed by rule all
| denied by rule orders, and all of the text with it
|...
$ sluice policy explain policy.yaml --agent web --to 192.0.2.7:5432 --statement "SELECT pg_read_file('x')"
|~ flow: allowed by rule all
| passed: no rule denies it
|
| SELECT: read, server-file
|   relations: *
|   functions: pg_read_file
|...
$ sluice policy explain policy.yaml --agent web --to 192.0.2.7:5432 --statement 'DELETE FROM t'
|~ flow: allowed by rule all
| held by rule ask until somebody approves it
|...
$ sluice policy explain policy.yaml --agent web --to 192.0.2.7:5432 --statement 'DELETE FROM t; DROP TABLE t'
|~ flow: allowed by rule all
| denied by rule destruction, and all of the text with it
|...
$ sluice policy explain policy.yaml --agent web --to 192.0.2.7:5432 --statement 'SELEC'
|~ flow: allowed by rule all
|~ denied: it is not understood: syntax error
$ sluice policy explain policy.yaml --agent web --to 192.0.2.7:5432 --statement 'RESET client_encoding'
|~ flow: allowed by rule all
| denied: it would change how statements are read
|...
$ sluice policy explain policy.yaml --agent job --to 192.0.2.7:5432 --statement 'DROP TABLE t'
|~ flow: allowed by rule all
| passed unread: no rule about operations holds for this flow
|...
$ sluice policy explain policy.yaml --agent web --to 192.0.2.7:5432 --statement 'DROP TABLE t' --output json
|~ "verdict":"denied by rule destruction","statements":\\[\\{"verb":"DROP"
`,
  ),
);

const MASKS = `
-- policy.yaml --
version: 1
agents: [{name: web, match: [{run: web}]}, {name: job, match: [{run: job}]}, {name: desk, match: [{run: desk}]}]
destinations: [{name: db, cidrs: [192.0.2.7], ports: [5432], protocol: postgres, tls: {server_name: db.example.org}}]
rules: [{name: all, destinations: [db], action: allow}]
operations: [{name: ask, agents: [web], destinations: [db], effects: [schema-change], action: hold}]
masks:
  - {name: ssn, agents: [web, desk], destinations: [db], columns: [people.ssn]}
  - {name: cards, agents: [job], destinations: [db], detect: [card]}
  - {name: sent, agents: [desk], destinations: [db], detect: [card], direction: requests}
`;

t.test('what masks say to it', (t) =>
  script(
    t,
    null,
    `${MASKS}
$ sluice policy explain policy.yaml --agent desk --to 192.0.2.7:5432 --statement 'CREATE TABLE t AS SELECT ssn FROM people'
|~ flow: allowed by rule all
| denied unless the database has nothing of what is meant: the statement would take masked values elsewhere (mask "ssn")
|...
$ sluice policy explain policy.yaml --agent web --to 192.0.2.7:5432 --statement 'CREATE TABLE t AS SELECT ssn FROM people'
|~ flow: allowed by rule all
|~ ^held by rule ask until somebody approves it; then denied unless the database .*mask "ssn"
|...
$ sluice policy explain policy.yaml --agent desk --to 192.0.2.7:5432 --statement 'SELEC'
|~ flow: allowed by rule all
|~ ^denied: it is not understood
$ sluice policy explain policy.yaml --agent desk --to 192.0.2.7:5432 --statement 'SELECT 1'
|~ flow: allowed by rule all
| passed: no rule denies it; values that masks find in it are masked, or it is denied where they cannot be
|...
$ sluice policy explain policy.yaml --agent job --to 192.0.2.7:5432 --statement 'SELECT 1'
|~ flow: allowed by rule all
| passed unread: no rule about operations holds for this flow; what comes back is masked
|...
`,
  ),
);

t.test('wrong use', (t) =>
  script(
    t,
    null,
    `${POLICY}
$ sluice policy explain policy.yaml --agent web --inbound 80 --from 127.0.0.1 --statement x
! sluice: option '--inbound <port>' cannot be used with option '--statement <sql>'
!   hint: add --help, or see: sluice help
= 2
$ sluice policy explain policy.yaml --agent web --to 192.0.2.7:5432 --protocol http --statement x
! sluice: --statement contradicts --protocol http
!   hint: statements are read in the protocol postgres only
= 2
`,
  ),
);
