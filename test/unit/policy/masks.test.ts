import t from 'tap';
import { preparePolicy } from '#src/policy/decide.ts';
import { maskRules, masksDirection } from '#src/policy/masks.ts';
import { policyOf } from '#test/support/policy-text.ts';

const policy = preparePolicy(
  policyOf(`
agents: [{name: web, match: [{uid: 1}]}, {name: job, match: [{uid: 2}]}]
destinations:
  - {name: db, cidrs: [10.0.0.1], ports: [5432], protocol: postgres}
  - {name: all, cidrs: [10.0.0.0/8], protocol: tls}
rules: [{name: go, destinations: [all], action: allow}]
masks:
  - {name: every, destinations: [db], detect: [cards]}
  - {name: web-only, agents: [web], destinations: [db], detect: [email], direction: both}
`),
);

const names = (agent: string, ip: string): string[] =>
  maskRules(policy, { agent, ip, port: 5432 }).map(({ name }) => name);

t.test('masks go by agent and address, whatever destination allowed the flow', async (t) => {
  t.strictSame(names('web', '10.0.0.1'), ['every', 'web-only']);
  t.strictSame(names('job', '10.0.0.1'), ['every']);
  t.strictSame(names('web', '10.0.0.2'), []);
});

t.test('a mask has a direction', async (t) => {
  const [every, webOnly] = maskRules(policy, { agent: 'web', ip: '10.0.0.1', port: 5432 });
  if (every === undefined || webOnly === undefined) throw new Error('no masks');
  t.ok(masksDirection(every, 'responses'));
  t.notOk(masksDirection(every, 'requests'));
  t.ok(masksDirection(webOnly, 'requests'));
});
