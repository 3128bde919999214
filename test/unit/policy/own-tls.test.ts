import t from 'tap';
import { preparePolicy } from '#src/policy/decide.ts';
import { mayHaveOwnTls } from '#src/policy/own-tls.ts';
import { policyOf } from '#test/support/policy-text.ts';

const AGENTS = 'agents: [{name: a, match: [{uid: 1}]}, {name: b, match: [{uid: 2}]}]';
const DATABASES = `
destinations:
  - { name: db, cidrs: [10.0.0.0/8], ports: [5432], protocol: postgres, tls: { server_name: db.org } }
  - { name: named, hosts: [db.org, two.org], cidrs: [10.0.0.0/8], ports: [5432], protocol: postgres }
  - { name: web, cidrs: [10.0.0.0/8], ports: [5432], protocol: http, tls: { server_name: db.org } }
  - { name: any, cidrs: [10.0.0.0/8] }`;
const PASSING = 'rules: [{ name: r, destinations: [db], action: allow, passthrough: true }]';

function may(more: string, agent: string | null = 'a', ip = '10.0.0.1'): boolean {
  const policy = preparePolicy(policyOf(`${AGENTS}${DATABASES}\n${more}`));
  return mayHaveOwnTls(policy, { agent, ip, port: 5432 });
}

t.test('only where a rule says passthrough', async (t) => {
  t.equal(may(PASSING), true);
  t.equal(may(PASSING.replace('true', 'false')), false);
  t.equal(may('rules: []'), false);
  t.equal(may(PASSING, null), false, 'none of its agents');
  t.equal(may('rules: [{ name: r, agents: [b], action: allow, passthrough: true }]'), false);
  t.equal(may(PASSING, 'a', '192.168.0.1'), false, 'another address');
  t.equal(may(PASSING.replace('db', 'web')), false, 'another protocol');
  t.equal(may(PASSING.replace('db', 'any')), true);
});

t.test('a name that must fit is judged when it has come', async (t) => {
  t.equal(may(PASSING.replace('db', 'named')), true);
});

t.test('the first rule settles it for those who could go on in plain text as well', async (t) => {
  const plain = '{ name: plain, destinations: [db], action: allow }';
  const own = '{ name: own, destinations: [db], action: allow, passthrough: true }';
  const exempt = '{ name: e, destinations: [any], action: exempt, reason: old }';
  t.equal(may(`rules: [${plain}, ${own}]`), false);
  t.equal(may(`rules: [${own}, ${plain}]`), true);
  t.equal(may(`rules: [${exempt}, ${own}]`), false);
  t.equal(may(`rules: [${own}, ${exempt}]`), true);
  t.equal(may(`rules: [${plain.replace('db', 'web')}, ${own}]`), true, 'one that does not fit');
});

t.test('never where a deny fits, wherever it stands', async (t) => {
  const rules = (deny: string): string => PASSING.replace(/]$/, `, ${deny}]`);
  t.equal(may(rules('{ name: no, destinations: [any], action: deny }')), false);
  t.equal(may(rules('{ name: no, destinations: [db], action: deny }')), false);
  t.equal(may(rules('{ name: no, agents: [b], destinations: [db], action: deny }')), true);
  t.equal(may(rules('{ name: no, destinations: [named], action: deny }')), true, 'by a name still to come');
});

t.test('never where what is inside is to be read', async (t) => {
  const both = (more: string): string => `${PASSING}\n${more}`;
  const judged = (agent: string, to: string): string =>
    both(
      `operations: [{ name: o, agents: [${agent}], destinations: [${to}], action: deny, effects: [write] }]`,
    );
  const masked = (agent: string, to: string): string =>
    both(`masks: [{ name: m, agents: [${agent}], destinations: [${to}], detect: [card], action: redact }]`);
  for (const ruled of [judged, masked]) {
    t.equal(may(ruled('a', 'db')), false);
    t.equal(may(ruled('a', 'named')), false, 'it may be meant');
    t.equal(may(ruled('b', 'db')), true, 'for others');
  }
});
