import t from 'tap';
import { buildGlobs, buildTrie, buildUidPrefixes } from '#src/kernel/enrolment.ts';

t.test('paths that share their beginning share its entries', async (t) => {
  const trie = buildTrie([
    { path: '/system.slice/a.service', agentId: 1 },
    { path: '/system.slice/b.service', agentId: 2 },
  ]);
  t.same(trie, [
    { parent: 0, name: 'system.slice', node: 1, agentId: 0 },
    { parent: 1, name: 'a.service', node: 2, agentId: 1 },
    { parent: 1, name: 'b.service', node: 3, agentId: 2 },
  ]);
});

t.test('a step on the way may be an agent of its own; the last rule for a path stands', async (t) => {
  const trie = buildTrie([
    { path: '/x/y', agentId: 2 },
    { path: '/x', agentId: 1 },
    { path: '/x/y', agentId: 3 },
  ]);
  t.same(trie, [
    { parent: 0, name: 'x', node: 1, agentId: 1 },
    { parent: 1, name: 'y', node: 2, agentId: 3 },
  ]);
});

t.test('what the kernel could not walk is refused', async (t) => {
  for (const path of ['/', '', '/a/../b', `/${'x'.repeat(256)}`, '/x'.repeat(17)])
    t.throws(() => buildTrie([{ path, agentId: 1 }]), { code: 'CONFIG' }, path.slice(0, 20));
  t.doesNotThrow(() => buildTrie([{ path: '/x'.repeat(16), agentId: 1 }]));
});

t.test('patterns are numbered in their order, and each component says which of them it fits', async (t) => {
  const rules = [
    { path: '/plain', agentId: 9 },
    { path: '/s/web-*.service', agentId: 1 },
    { path: '/s/*', agentId: 2 },
    { path: '/s/*/inner', agentId: 3 },
  ];
  t.same(buildTrie(rules), [{ parent: 0, name: 'plain', node: 1, agentId: 9 }]);
  t.same(buildGlobs(rules), {
    shapes: [
      { before: 4, behind: 8 },
      { before: 0, behind: 0 },
    ],
    agents: [1, 2, 3],
    sets: [
      { level: 1, component: 's', fits: 0b111n, ends: 0n },
      { level: 2, component: 'web-*.service', fits: 0b001n, ends: 0b001n },
      { level: 2, component: '*', fits: 0b110n, ends: 0b010n },
      { level: 3, component: 'inner', fits: 0b100n, ends: 0b100n },
    ],
  });
});

t.test('more patterns than the kernel holds are refused', async (t) => {
  const many = (count: number) => Array.from({ length: count }, (_, n) => ({ path: `/${n}/*`, agentId: 1 }));
  t.doesNotThrow(() => buildGlobs(many(256)));
  t.throws(() => buildGlobs(many(257)), { code: 'CONFIG' });
  const shapes = (count: number) =>
    Array.from({ length: count }, (_, n) => ({ path: `/${'x'.repeat(n)}*`, agentId: 1 }));
  t.doesNotThrow(() => buildGlobs(shapes(32)));
  t.throws(() => buildGlobs(shapes(33)), { code: 'CONFIG' });
  t.throws(() => buildGlobs([{ path: '/a*b*c', agentId: 1 }]), { code: 'CONFIG' });
});

t.test('ranges of user ids become prefixes that hold them and nothing else', async (t) => {
  const holds = ({ uid, bits }: { uid: number; bits: number }, id: number): boolean =>
    id >= uid && id < uid + 2 ** (32 - bits);
  for (const [first, last] of [
    [7, 7],
    [1000, 1999],
    [1, 2 ** 32 - 2],
    [0, 2 ** 31 - 1],
    [2 ** 31, 2 ** 32 - 2],
  ] as const) {
    const prefixes = buildUidPrefixes([{ first, last, agentId: 1 }]);
    t.ok(prefixes.length <= 62, `${prefixes.length} for ${first}-${last}`);
    const size = prefixes.reduce((sum, { bits }) => sum + 2 ** (32 - bits), 0);
    t.equal(size, last - first + 1);
    for (const id of [first, last, Math.floor((first + last) / 2)])
      t.equal(prefixes.filter((prefix) => holds(prefix, id)).length, 1, `${id} of ${first}-${last}`);
  }
  t.same(
    buildUidPrefixes([
      { first: 8, last: 8, agentId: 2 },
      { first: 8, last: 9, agentId: 1 },
    ]),
    [
      { uid: 8, bits: 31, agentId: 1 },
      { uid: 8, bits: 32, agentId: 2 },
    ],
  );
  t.same(
    buildUidPrefixes([
      { first: 8, last: 9, agentId: 2 },
      { first: 8, last: 10, agentId: 1 },
    ]).find(({ bits }) => bits === 31)?.agentId,
    2,
    'where both have the same prefix the narrower range has it',
  );
});
