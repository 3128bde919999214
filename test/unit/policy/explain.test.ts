import t from 'tap';
import { decide, preparePolicy } from '#src/policy/decide.ts';
import { explain } from '#src/policy/explain.ts';
import type { FlowQuestion } from '#src/policy/types.ts';
import { policyOf } from '#test/support/policy-text.ts';

const policy = policyOf(`
agents: [{name: a, match: [{unit: a.service}]}, {name: b, match: [{uid: 2}, {exe: /bin/b}]}]
destinations:
  - {name: web, hosts: [a.org], ports: [80]}
  - {name: bad, cidrs: [10.9.0.0/16]}
  - {name: db, ports: [5432], protocol: postgres, tls: {server_name: db.org}}
rules:
  - {name: read, destinations: [db, web], action: allow}
  - {name: only-b, agents: [b], action: allow}
  - {name: never, destinations: [bad], action: deny, reason: closed}
`);
const ask: FlowQuestion = { agent: 'a', ip: '10.0.0.1', port: 80 };

t.test('the answer is decide()’s own', (t) => {
  const prepared = preparePolicy(policy);
  for (const question of [ask, { ...ask, ip: '10.9.0.1' }, { ...ask, agent: 'b' }, { ...ask, agent: null }]) {
    t.strictSame(explain(policy, question).answer, decide(prepared, question));
    t.strictSame(explain(prepared, question), explain(policy, question));
  }
  t.end();
});

t.test('each rule says whether it fits and why', (t) => {
  t.match(explain(policy, ask).rules, [
    { rule: 'read', matched: 'maybe', decisive: false, why: /^web: address and port fit; the rest depends/ },
    { rule: 'only-b', matched: 'no', decisive: false, why: 'it is for b only' },
    { rule: 'never', matched: 'no', decisive: false, why: 'bad: the address is another' },
  ]);
  const seen = explain(policy, { ...ask, seen: { protocol: 'http', agentTls: false, name: 'a.org' } });
  t.match(seen.rules[0], {
    matched: 'yes',
    decisive: true,
    why: 'web: it fits',
    destinations: [
      { destination: 'db', match: 'port' },
      { destination: 'web', match: 'yes' },
    ],
  });
  const tls = explain(policy, { ...ask, seen: { protocol: 'tls', agentTls: true, name: 'a.org' } });
  t.match(tls.rules[0], { matched: 'no', why: /speaks TLS itself and the rule has no passthrough/ });
  t.end();
});

t.test('a deny is decisive over what would have allowed', (t) => {
  const { answer, rules } = explain(policy, { ...ask, ip: '10.9.0.1', agent: 'b' });
  t.match(answer, { kind: 'deny', code: 'policy_denied', reason: 'closed' });
  t.strictSame(
    rules.map(({ rule, matched, decisive }) => [rule, matched, decisive]),
    [
      ['read', 'maybe', false],
      ['only-b', 'maybe', false],
      ['never', 'yes', true],
    ],
  );
  t.end();
});

t.test('a process that is none of the agents', (t) => {
  const { answer, rules } = explain(policy, { ...ask, agent: 'gone' });
  t.match(answer, { kind: 'deny', code: 'no_rule' });
  t.equal(rules[0]?.why, 'the process is none of the agents');
  t.end();
});

t.test('masks, whether they hold and what they do', (t) => {
  const masked = policyOf(`
agents: [{name: a, match: [{uid: 1}]}]
destinations: [{name: db, cidrs: [10.0.0.1], ports: [5432], protocol: postgres}]
masks:
  - {name: cards, destinations: [db], detect: [cards], action: partial, keep_last: 4}
  - {name: names, agents: [a], destinations: [db], columns: [hr.people.*, mail], types: [text], effect: observe}
`);
  const { masks } = explain(masked, { agent: 'a', ip: '10.0.0.1', port: 5432 });
  t.strictSame(masks, [
    {
      mask: 'cards',
      holds: true,
      direction: 'responses',
      what: 'card',
      action: 'partial, last 4 left',
      effect: 'mask',
    },
    {
      mask: 'names',
      holds: true,
      direction: 'responses',
      what: 'whole values in columns hr.people.*, mail of types text',
      action: 'redact',
      effect: 'observe',
    },
  ]);
  t.match(explain(masked, { agent: 'gone', ip: '10.0.0.1', port: 5432 }).masks, [
    { mask: 'cards', holds: true },
    { mask: 'names', holds: false },
  ]);
  t.end();
});
