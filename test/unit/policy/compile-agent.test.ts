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
  t.strictSame(enrolmentOf({ slice: 'x-*.slice' }), { kind: 'cgroup', path: '/x.slice/x-*.slice' });
  t.strictSame(enrolmentOf({ unit: 'w@*.service' }), {
    kind: 'cgroup',
    path: '/system.slice/system-w.slice/w@*.service',
  });
  t.strictSame(enrolmentOf({ uid: 0 }), { kind: 'uid', first: 0, last: 0 });
  t.strictSame(enrolmentOf({ uid: '7-9' }), { kind: 'uid', first: 7, last: 9 });
  t.strictSame(enrolmentOf({ exe: '/bin/sh' }), { kind: 'exe', path: '/bin/sh', sha256: null });
  t.strictSame(enrolmentOf({ exe: { path: '/bin/sh', sha256: 'AB' } }), {
    kind: 'exe',
    path: '/bin/sh',
    sha256: 'ab',
  });
  t.end();
});

t.test('an agent', (t) => {
  t.strictSame(compileAgent({ name: 'a', match: [{ uid: 1 }, { run: 'a' }] }), {
    id: agentId('a'),
    name: 'a',
    groups: [],
    enrolments: [
      { kind: 'uid', first: 1, last: 1 },
      { kind: 'cgroup', path: '/sluice/run/a' },
    ],
  });
  t.end();
});
