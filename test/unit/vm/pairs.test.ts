import t from 'tap';
import { briefTestsFor, DEFAULT_PAIR, PAIRS, testsFor } from '#test/vm/pairs.ts';

t.test(
  'every kernel Sluice is said to work on has its pair, and each pair has something to run',
  async (t) => {
    const works = PAIRS.filter((pair) => pair.expects === 'works');
    t.same(
      works.map((pair) => pair.kernel),
      ['6.1', '6.12', '7.3'],
    );
    t.ok(works.some((pair) => pair.name === DEFAULT_PAIR));
    for (const pair of PAIRS) t.ok(testsFor(pair).length > 0, pair.name);
  },
);

t.test('a brief run has units end to end and ways past Sluice', async (t) => {
  for (const pair of PAIRS) {
    const all = testsFor(pair);
    const brief = briefTestsFor(pair);
    t.ok(brief.every((file) => all.includes(file)));
    t.equal(brief.length, pair.expects === 'works' ? 2 : all.length, pair.name);
  }
});

t.test('a payload runs where its folder says', async (t) => {
  for (const pair of PAIRS) {
    const tests = testsFor(pair);
    t.equal(tests.includes('test/vm/payloads/works/systemd.test.ts'), pair.expects === 'works');
    t.equal(tests.includes('test/bpf/refuse.test.ts'), pair.expects === 'works');
    t.equal(tests.includes('test/vm/payloads/refuses/refusal.test.ts'), pair.expects === 'refuses');
  }
});

t.test(
  'a name says what a guest is, and each guest has its own cgroup layout on its command line',
  async (t) => {
    t.equal(new Set(PAIRS.map((pair) => pair.name)).size, PAIRS.length);
    const layout = (name: string): string =>
      PAIRS.find((pair) => pair.name === name)?.kernelArguments.join(' ') ?? '';
    t.equal(layout(DEFAULT_PAIR), 'systemd.unified_cgroup_hierarchy=1');
    t.match(layout('bookworm/6.1/hybrid'), /unified_cgroup_hierarchy=0 .*legacy_systemd_cgroup_controller=0/);
    t.match(layout('bookworm/6.1/v1'), /unified_cgroup_hierarchy=0 .*legacy_systemd_cgroup_controller=1/);
  },
);
