import { globSync, readFileSync } from 'node:fs';
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
    t.match(fullTable(error), {
      code: 'POLICY',
      message: /^the agents of .*sluice_paths/,
      hint: /--table cgroup-paths=N/,
    });
  }
  const unix = Object.assign(new Error('bpf_map_update_elem sluice_unix_places'), { code: 'E2BIG' });
  t.match(fullTable(unix), { message: /^the closed Unix sockets of/, hint: /unix_sockets/ });
  t.notMatch(fullTable(unix)?.hint, /--table/, 'its size is nobody’s to choose');
  t.equal(fullTable(Object.assign(new Error('gone'), { code: 'EBADF' })), null);
});

t.test('of every map it is said what happens when it is full', async (t) => {
  const root = new URL('../../../', import.meta.url).pathname;
  const sources = globSync('bpf/**/*.{c,h}', { cwd: root }).map((path) => readFileSync(root + path, 'utf8'));
  // A macro makes one for each hook: `sluice_former_##hook`.
  const maps = sources
    .flatMap((text) => [...text.matchAll(/\} (\w+(?:##hook)?) SEC\("\.maps"\)/g)])
    .map(([, name = '']) => name.replace('##hook', '*'));
  const [, section = ''] = readFileSync(`${root}ARCHITECTURE.md`, 'utf8').split('### Full tables');
  const rows = (section.split('\n## ')[0] ?? '').split('\n').filter((line) => line.startsWith('| `'));
  const told = rows.flatMap((row) => [...(row.split(' | ')[0] ?? '').matchAll(/`([^`]+)`/g)]);
  t.same(told.map(([, name]) => name).sort(), maps.sort());
});
