import t from 'tap';
import { badSize, fullTable, mapSizes } from '#src/kernel/tables.ts';

t.test('sizes that make sense', async (t) => {
  t.equal(badSize('processes', 1), null);
  t.match(badSize('processes', 0), /from 1 to/);
  t.match(badSize('processes', 4_194_305), /from 1 to/);
  t.equal(badSize('deny-ring-bytes', 65_536), null);
  t.match(badSize('deny-ring-bytes', 65_537), /power of two/);
});

t.test('a table may be several maps', async (t) => {
  t.same(mapSizes(t.testdir(), { executables: 9, processes: 7 }), {
    sluice_exes: 9,
    sluice_exe_places: 9,
    sluice_tags: 7,
  });
});

t.test('what the kernel answers when there is no room', async (t) => {
  for (const code of ['E2BIG', 'ENOSPC']) {
    const error = Object.assign(new Error('bpf_map_update_elem sluice_paths'), { code });
    t.match(fullTable(error), { code: 'POLICY', message: /sluice_paths/ });
  }
  t.equal(fullTable(Object.assign(new Error('gone'), { code: 'EBADF' })), null);
});
