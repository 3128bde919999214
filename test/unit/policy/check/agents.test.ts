import { createHash } from 'node:crypto';
import t from 'tap';
import { errorsOf, warningsOf } from '#test/support/policy-text.ts';

const agent = (match: string): string => `agents:\n  - name: a\n    match: [${match}]`;

t.test('names', (t) => {
  t.strictSame(errorsOf('agents:\n  - {name: a, match: [{uid: 1}]}\n  - {name: a, match: [{uid: 2}]}'), [
    '4:12 agents[1].name: another agent is named "a" | on line 3',
  ]);
  t.match(errorsOf('agents: [{name: sluice-canary, match: [{uid: 1}]}]'), [/reserved/]);
  t.end();
});

t.test('two names with one id', (t) => {
  // Found by trying: with some ten thousand names two are bound to meet.
  const seen = new Map<string, string>();
  let pair: [string, string] | null = null;
  for (let i = 0; pair === null && i < 500_000; i += 1) {
    const name = `agent-${i}`;
    const id = createHash('sha256').update(name).digest('hex').slice(0, 8);
    const other = seen.get(id);
    if (other !== undefined) pair = [other, name];
    seen.set(id, name);
  }
  const [first, second] = pair ?? ['', ''];
  t.match(errorsOf(`agents: [{name: ${first}, match: [{uid: 1}]}, {name: ${second}, match: [{uid: 2}]}]`), [
    new RegExp(`has the same id as the agent "${first}"`),
  ]);
  t.end();
});

t.test('units and slices', (t) => {
  t.strictSame(errorsOf(agent('{unit: billing}')), [
    '4:20 agents[0].match[0].unit: "billing" is not the name of a unit | did you mean "billing.service"?',
  ]);
  t.match(errorsOf(agent('{unit: worker@.service}')), [
    /template runs only as its instances.*name@\*\.service/,
  ]);
  t.strictSame(errorsOf(agent('{unit: worker@*.service}, {unit: web-*.service}, {slice: x-*.slice}')), []);
  t.match(errorsOf(agent('{unit: w*@*.service}')), [/more than one star/]);
  t.match(errorsOf(agent('{unit: web-*}')), [/not the name of a unit/]);
  t.match(errorsOf(agent('{slice: "*-*.slice"}')), [/more than one star/]);
  t.match(errorsOf(agent('{slice: -.slice}')), [/every process of the host/]);
  t.match(errorsOf(agent('{unit: a/b.service}')), [/is not the name of a unit/]);
  t.match(errorsOf(agent('{unit: backup.timer}')), [/units end in/]);
  t.match(errorsOf(agent('{unit: a--b.slice}')), [/is not the name of a unit/]);
  t.match(errorsOf(agent('{unit: -.slice}')), [/every process of the host/]);
  t.match(errorsOf(agent('{unit: a.service, slice: apps}')), [/"apps" is not the name of a slice/]);
  t.match(errorsOf(agent('{unit: a.slice, slice: apps.slice}')), [/placed by its own name/]);
  t.strictSame(
    errorsOf(agent('{unit: a.service, slice: apps-x.slice}, {unit: w@1.service}, {unit: x.slice}')),
    [],
  );
  t.end();
});

t.test('paths', (t) => {
  t.match(errorsOf(agent('{cgroup: /}')), [/every process of the host/]);
  for (const path of ['system.slice', '/a/', '/a/../b', '//a'])
    t.match(errorsOf(agent(`{cgroup: ${path}}`)), [/not the path of a cgroup/]);
  t.match(errorsOf(agent('{cgroup: /*}')), [/every process of the host/]);
  t.match(errorsOf(agent('{cgroup: /a/*b*}')), [/more than one star/]);
  t.strictSame(errorsOf(agent('{cgroup: /system.slice/web-*.service}, {cgroup: /a*/b/*}')), []);
  for (const path of ['/sluice', '/sluice/run', '/sluice/run/x', '/slu*', '/*/run'])
    t.match(errorsOf(agent(`{cgroup: ${path}}`)), [/Sluice's own.*`run: NAME`/]);
  for (const path of ['python3', './x', '/usr/bin/../bin/x', '/'])
    t.match(errorsOf(agent(`{exe: ${path}}`)), [/not the path of an executable/]);
  t.strictSame(errorsOf(agent('{cgroup: /sluicegate}, {exe: /usr/bin/python3}')), []);
  t.end();
});

t.test('the same process claimed twice', (t) => {
  const two = (first: string, second: string): string =>
    `agents:\n  - {name: a, match: [${first}]}\n  - {name: b, match: [${second}]}`;
  t.match(errorsOf(two('{uid: 7}', '{uid: 7}')), [
    /^4:\d+ agents\[1\]\.match\[0\]: uid 7 belongs to the agent "a" already \| claimed on line 3/,
  ]);
  t.match(errorsOf(two('{exe: /bin/x}', '{exe: /bin/x}')), [/exe \/bin\/x belongs/]);
  t.match(errorsOf(two('{run: x}', '{run: x}')), [/cgroup \/sluice\/run\/x belongs/]);
  t.match(
    errorsOf(two('{unit: x.service}', '{cgroup: /system.slice/x.service}')),
    [/belongs to the agent "a"/],
    'by two spellings',
  );
  t.match(errorsOf(agent('{uid: 7}, {uid: 7}')), [/uid 7 is listed twice/]);
  t.strictSame(errorsOf(two('{uid: 7}', '{uid: 5-9}')), [], 'the narrower decides');
  t.match(errorsOf(two('{uid: 5-9}', '{uid: 7-12}')), [
    /uid 7-12 overlaps with 5-9 of the agent "a" \| on line 3/,
  ]);
  t.match(errorsOf(agent('{uid: 9-7}')), [/"9-7" is no user id/]);
  t.match(errorsOf(two('{exe: /bin/x}', '{exe: {path: /bin/x}}')), [/exe \/bin\/x belongs/]);
  t.strictSame(errorsOf(two('{cgroup: /a}', '{cgroup: /a/b}')), [], 'a deeper cgroup may be another agent');
  t.strictSame(errorsOf(two('{uid: 7}', '{exe: /bin/x}')), []);
  t.end();
});

t.test('root as an agent is worth a warning', (t) => {
  t.match(warningsOf(agent('{uid: 0}')), [
    /^4:19 agents\[0\]\.match\[0\]\.uid: uid 0 makes every process of root/,
  ]);
  t.strictSame(warningsOf(agent('{uid: 1}')), []);
  t.end();
});

t.test('a cgroup the kernel cannot walk to', async (t) => {
  t.match(errorsOf(agent(`{cgroup: ${'/x'.repeat(17)}}`)), [/17 levels deep/]);
  t.strictSame(errorsOf(agent(`{cgroup: ${'/x'.repeat(16)}}`)), []);
  t.match(errorsOf(agent(`{cgroup: /${'x'.repeat(256)}}`)), [/longer than 255 bytes/]);
});
