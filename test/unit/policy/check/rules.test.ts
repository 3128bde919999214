import t from 'tap';
import { errorsOf } from '#test/support/policy-text.ts';

const BASE = `
agents: [{name: billing, match: [{uid: 1}]}]
destinations:
  - {name: named, hosts: [a.example.org]}
  - {name: placed, cidrs: [10.0.0.0/8]}
  - {name: both, hosts: [a.example.org], cidrs: [10.0.0.0/8]}
  - {name: port, ports: [443]}
  - {name: db, protocol: postgres, hosts: [db.example.org], ports: [5432]}
  - {name: wrapped, protocol: tls, tls: {server_name: x.org}, ports: [9000]}
rules:
`;
const rule = (text: string): string[] => errorsOf(`${BASE}  - {name: r, ${text}}`);

t.test('names', (t) => {
  t.match(errorsOf(`${BASE}  - {name: r, action: deny}\n  - {name: r, action: deny}`), [
    /^13:12 .*another rule is named "r" \| on line 12/,
  ]);
  t.match(rule('action: allow, agents: [bilingg], destinations: [nmaed, placed, zzz]'), [
    /rules\[0\]\.agents\[0\]: there is no agent "bilingg" \| did you mean "billing"\?/,
    /rules\[0\]\.destinations\[0\]: there is no destination "nmaed" \| did you mean "named"\?/,
    /rules\[0\]\.destinations\[2\]: there is no destination "zzz" \| known: named, placed/,
  ]);
  t.match(errorsOf('rules: [{name: r, action: deny, agents: [x]}]'), [/no agent is defined/]);
  t.end();
});

t.test('passthrough', (t) => {
  t.strictSame(rule('action: allow, passthrough: true, destinations: [placed, both, port]'), []);
  t.strictSame(rule('action: allow, passthrough: true'), [], 'anywhere is what it says');
  t.match(rule('action: allow, passthrough: true, destinations: [placed, named]'), [
    /destinations\[1\]: `passthrough` needs `cidrs` in "named" \| .*ClientHello is only the agent's word/,
  ]);
  t.match(rule('action: deny, passthrough: true'), [/`passthrough` has no meaning with `action: deny`/]);
  t.match(rule('action: exempt, passthrough: true, reason: x, destinations: [placed]'), [
    /`exempt` lets any bytes go/,
  ]);
  t.strictSame(rule('action: deny, passthrough: false'), []);
  t.strictSame(rule('action: allow, replication: true'), []);
  t.match(rule('action: deny, replication: true'), [/`replication` has no meaning with `action: deny`/]);
  t.end();
});

t.test('exempt', (t) => {
  t.strictSame(rule('action: exempt, reason: x, destinations: [placed, both]'), []);
  t.match(rule('action: exempt, reason: x'), [/needs `destinations`/]);
  for (const name of ['named', 'port', 'db', 'wrapped']) {
    t.match(rule(`action: exempt, reason: x, destinations: [${name}]`), [/needs `cidrs` in/], name);
  }
  t.end();
});

t.test('exempt by names that were resolved', (t) => {
  const errors = errorsOf(`
destinations: [{name: d, cidrs: [10.0.0.0/8], protocol: tls, hosts: [a.org, b.org]}]
rules: [{name: r, action: exempt, reason: x, destinations: [d]}]`);
  t.match(errors, [/cannot go by the `hosts` of "d" \| .*proved by nothing/]);
  t.end();
});

t.test('deny by a name that is never seen', (t) => {
  t.match(rule('action: deny, destinations: [db]'), [/deny rule needs `cidrs` in "db"/]);
  t.strictSame(rule('action: deny, destinations: [named, placed, wrapped]'), []);
  t.strictSame(rule('action: allow, destinations: [db, wrapped]'), []);
  t.end();
});

t.test('a destination that is wrong already is not judged again', (t) => {
  const errors = errorsOf(
    'destinations: [{name: d, cidrs: [x]}]\nrules: [{name: r, action: exempt, reason: x, destinations: [d]}]',
  );
  t.match(errors, [/cidrs\[0\]/]);
  t.equal(errors.length, 1);
  t.end();
});
