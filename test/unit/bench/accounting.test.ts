import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import { cpuSeconds, parseStat, residentBytes } from '#test/bench/accounting.ts';

t.test('parseStat', async (t) => {
  const after = 'S 41 1 1 0 -1 0 0 0 0 0 10 20 3 4 20 0 1 0 12345';
  t.same(parseStat(`42 (node) ${after}`), { parent: 41, ticks: 37 });
  t.same(parseStat(`42 (a) b) 7 (c) ${after}`), { parent: 41, ticks: 37 }, 'with brackets in the name');
  t.equal(parseStat(''), undefined, 'of a process that has gone');
});

t.test('a set is its roots and their descendants', async (t) => {
  // The shell stays while its child works, so that the child is found through it and not as a root.
  const script = 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo done; read line';
  const shell = spawn('sh', ['-c', `sh -c '${script}'; :`], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.teardown(() => shell.stdin.end());
  await once(shell.stdout, 'data');
  t.ok(cpuSeconds([shell.pid ?? 0]) > 0, 'charges the root for what its child did');
  t.ok(residentBytes([shell.pid ?? 0]) > residentBytes([]), 'and for what they hold');
  t.equal(cpuSeconds([]), 0, 'no root, no cost');
  shell.stdin.end();
  await once(shell, 'exit');
  t.equal(residentBytes([shell.pid ?? 0]), 0, 'nothing is left of a process that has gone');
});
