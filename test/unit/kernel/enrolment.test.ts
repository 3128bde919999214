import t from 'tap';
import { buildTrie } from '#src/kernel/enrolment.ts';

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
