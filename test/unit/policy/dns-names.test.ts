import t from 'tap';
import { agentId } from '#src/policy/agent-id.ts';
import { DnsNames, dnsPolicy } from '#src/policy/dns-names.ts';
import { policyOf } from '#test/support/policy-text.ts';

const text = (names: string): string => `dns: {names: ${names}, queries_per_second: 9, record: refused}
agents: [{name: a, match: [{uid: 1}]}, {name: b, match: [{uid: 2}]}, {name: c, match: [{uid: 3}]}]
destinations:
  - {name: web, hosts: [a.org, "*.b.org"]}
  - {name: db, ports: [5432], protocol: postgres, tls: {server_name: db.org}}
  - {name: place, cidrs: [10.0.0.0/8]}
  - {name: bad, hosts: [bad.org]}
rules:
  - {name: no, destinations: [bad], action: deny}
  - {name: r, agents: [a], destinations: [web, db, place], action: allow}
  - {name: s, agents: [b], action: allow}`;

t.test('an agent may ask for the names of where it may go', async (t) => {
  const names = new DnsNames(dnsPolicy(policyOf(text('policy')), ['192.0.2.53']));
  const may = (agent: string, name: string): boolean => names.mayAsk(agentId(agent), name);
  for (const name of ['a.org', 'x.b.org', 'db.org']) t.equal(may('a', name), true, name);
  for (const name of ['b.org', 'x.x.b.org', 'bad.org', 'x.a.org', '10.0.0.1', ''])
    t.equal(may('a', name), false, name);
  t.equal(may('b', 'anything.org'), true, 'who may go anywhere by name');
  t.equal(may('c', 'a.org'), false, 'nothing is allowed to it');
  t.equal(may('gone', 'a.org'), false);
});

t.test('or for any, if policy does not bound names; a process that is no agent of it for none', async (t) => {
  const policy = dnsPolicy(policyOf(text('any')), ['192.0.2.53']);
  const names = new DnsNames(policy);
  t.equal(names.mayAsk(agentId('c'), 'anything.org'), true);
  t.equal(names.mayAsk(agentId('sluice-unknown'), 'anything.org'), false);
  t.match(policy, { resolvers: ['192.0.2.53'], queriesPerSecond: 9, record: 'refused' });
});

t.test('the forwarder is told nothing it has no use for', async (t) => {
  const keys = Object.keys(dnsPolicy(policyOf(text('policy')), [])).sort();
  t.same(keys, ['agents', 'nameLife', 'queriesPerSecond', 'record', 'resolvers', 'revision']);
});
