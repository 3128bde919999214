import t from 'tap';
import { findAgent } from '#src/policy/enrolment.ts';
import { policyOf } from '#test/support/policy-text.ts';

const policy = policyOf(`
agents:
  - {name: by-uid, match: [{uid: 1001}]}
  - {name: by-exe, match: [{exe: /usr/bin/python3}]}
  - {name: slice, match: [{unit: apps.slice}]}
  - {name: unit, match: [{unit: billing.service, slice: apps.slice}]}
`);
const who = (cgroup: string | null, exe: string | null, uid: number | null): string | null =>
  findAgent(policy, { cgroup, exe, uid })?.agent.name ?? null;

t.test('the deepest cgroup, then the executable, then the uid', (t) => {
  t.equal(who('/apps.slice/billing.service', '/usr/bin/python3', 1001), 'unit');
  t.equal(who('/apps.slice/billing.service/worker', null, null), 'unit', 'cgroups below belong to it');
  t.equal(who('/apps.slice/other.service', '/usr/bin/python3', 1001), 'slice');
  t.equal(who('/apps.slice', null, null), 'slice');
  t.equal(who('/system.slice/x.service', '/usr/bin/python3', 1001), 'by-exe');
  t.equal(who(null, '/usr/bin/perl', 1001), 'by-uid');
  t.end();
});

t.test('who fits nothing is no agent', (t) => {
  t.equal(who('/system.slice/x.service', '/usr/bin/perl', 1002), null);
  t.equal(who(null, null, null), null);
  t.equal(who('/apps.slice2/billing.service', null, null), null, 'a name that only begins alike');
  t.equal(who('/', null, null), null);
  t.end();
});
