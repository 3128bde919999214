import t from 'tap';
import { agentId } from '#src/policy/agent-id.ts';
import { ANYWHERE, preparePolicy } from '#src/policy/prepare.ts';
import { policyOf } from '#test/support/policy-text.ts';

const source = policyOf(`
agents: [{name: a, match: [{uid: 1}]}, {name: b, match: [{uid: 2}]}]
destinations:
  - {name: fixed, hosts: [x.org], tls: {server_name: y.org}}
  - {name: literal, hosts: [x.org]}
  - {name: star, hosts: ["*.org"]}
  - {name: db, protocol: postgres, hosts: [x.org], ports: [5432]}
rules:
  - {name: all, action: allow}
  - {name: only-a, agents: [a], destinations: [fixed, literal, star, db], action: allow}
  - {name: no-b, agents: [b], action: deny}
  - {name: nobody, destinations: [star], action: deny}
`);
const prepared = preparePolicy(source);
const names = (agent: string | null) => {
  const { denies, grants } = prepared.rulesFor(agent);
  return { denies: denies.map((rule) => rule.source.name), grants: grants.map((rule) => rule.source.name) };
};

t.test('rules by agent, in the order of the document', (t) => {
  t.strictSame(names('a'), { denies: ['nobody'], grants: ['all', 'only-a'] });
  t.strictSame(names('b'), { denies: ['no-b', 'nobody'], grants: ['all'] });
  t.end();
});

t.test('a process that is no agent of this policy is never granted anything', (t) => {
  t.strictSame(names(null), { denies: ['nobody'], grants: [] });
  t.strictSame(names('gone'), { denies: ['nobody'], grants: [] });
  t.end();
});

t.test('agents by the kernel plane’s id', (t) => {
  t.equal(prepared.agentName(agentId('b')), 'b');
  t.equal(prepared.agentName(0), null);
  t.equal(prepared.agentName(agentId('gone')), null);
  t.equal(prepared.source, source);
  t.end();
});

t.test('what is compared and what is verified', (t) => {
  const [, rule] = prepared.rules;
  const facts = rule?.destinations.map(({ source: { name }, byName, fixedName }) => [
    name,
    byName,
    fixedName,
  ]);
  t.strictSame(facts, [
    ['fixed', true, 'y.org'],
    ['literal', true, 'x.org'],
    ['star', true, null],
    ['db', false, 'x.org'],
  ]);
  t.equal(prepared.rules[0]?.destinations[0]?.source, ANYWHERE);
  t.end();
});
