import t from 'tap';
import { agentId } from '#src/policy/agent-id.ts';
import { compileAgent, enrolmentOf } from '#src/policy/compile-agent.ts';

t.test('each way of matching', (t) => {
  t.strictSame(enrolmentOf({ unit: 'a.service' }), { kind: 'cgroup', path: '/system.slice/a.service' });
  t.strictSame(enrolmentOf({ unit: 'a.service', slice: 'x-y.slice' }), {
    kind: 'cgroup',
    path: '/x.slice/x-y.slice/a.service',
  });
  t.strictSame(enrolmentOf({ cgroup: '/a/b' }), { kind: 'cgroup', path: '/a/b' });
  t.strictSame(enrolmentOf({ run: 'demo' }), { kind: 'cgroup', path: '/sluice/run/demo' });
  t.strictSame(enrolmentOf({ uid: 0 }), { kind: 'uid', uid: 0 });
  t.strictSame(enrolmentOf({ exe: '/bin/sh' }), { kind: 'exe', path: '/bin/sh' });
  t.end();
});

t.test('an agent', (t) => {
  t.strictSame(compileAgent({ name: 'a', match: [{ uid: 1 }, { run: 'a' }] }), {
    id: agentId('a'),
    name: 'a',
    groups: [],
    enrolments: [
      { kind: 'uid', uid: 1 },
      { kind: 'cgroup', path: '/sluice/run/a' },
    ],
  });
  t.end();
});
