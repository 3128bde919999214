import t from 'tap';
import { errorsOf } from '#test/support/policy-text.ts';

const BASE = `agents: [{name: web, match: [{uid: 1}]}]
destinations:
  - {name: db, cidrs: [10.0.0.1], ports: [5432], protocol: postgres, tls: {server_name: db.test}}
  - {name: named, hosts: ["*.db.test"], ports: [5432], protocol: postgres}
  - {name: shop, hosts: [shop.test], protocol: http}
operations:
`;
const rule = (text: string): string[] => errorsOf(`${BASE}  - {name: r, ${text}}`);

t.test('every condition is read', async (t) => {
  t.strictSame(
    rule(
      'agents: [web], destinations: [db], effects: [schema-destruction, code], relations: [a, b.c, "b.*"], ' +
        'relations_other_than: [d], functions: [pg_sleep], columns: [a, b.c, "d.e.*"], columns_other_than: [x], action: deny, reason: x',
    ),
    [],
  );
  t.strictSame(
    rule('destinations: [db], action: observe'),
    [],
    'all but name, destinations and action may be left out',
  );
});

t.test('names that are not there, effects that are none, and malformed names are told', async (t) => {
  t.match(rule('agents: [wbe], destinations: [dp], action: deny'), [
    /agents\[0\]: there is no agent "wbe"/,
    /destinations\[0\]: there is no destination "dp"/,
  ]);
  t.match(rule('destinations: [db], effects: [drop], action: deny'), [
    /effects\[0\]: must be one of read, write/,
  ]);
  t.equal(rule('destinations: [db], relations: [a.b.c], action: deny').length, 1);
  t.match(rule('destinations: [db], action: allow'), [/must be one of deny, hold, observe/]);
  t.match(rule('action: deny'), [/"destinations" is missing/]);
});

t.test(
  'a destination whose operations nobody reads, or that is known by a resolved name, takes no rule',
  async (t) => {
    t.match(rule('destinations: [shop], action: deny'), [
      /operations of "shop" are not read \| say `protocol: postgres`/,
    ]);
    t.match(rule('destinations: [named], action: deny'), [/needs `cidrs` in "named"/]);
  },
);

t.test('a name is given once', async (t) => {
  const one = '{name: r, destinations: [db], action: deny}';
  t.match(errorsOf(`${BASE}  - ${one}\n  - ${one}`), [/another rule about operations is named "r"/]);
});

t.test('how long is said where something is held, and only there', async (t) => {
  t.strictSame(rule('destinations: [db], action: hold'), []);
  t.strictSame(rule('destinations: [db], action: hold, hold: {timeout_seconds: 3600}'), []);
  t.match(rule('destinations: [db], action: hold, hold: {timeout_seconds: 3601}'), [/timeout_seconds/]);
  t.match(rule('destinations: [db], action: deny, hold: {timeout_seconds: 1}'), [
    /`hold` has no meaning without `action: hold`/,
  ]);
});
