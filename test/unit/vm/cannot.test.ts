import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { requireMachine, requireTools } from '#test/vm/cannot.ts';

t.test('names every package that is missing, once', async (t) => {
  const directory = t.testdir();
  writeFileSync(join(directory, 'here'), '');
  chmodSync(join(directory, 'here'), 0o755);
  const path = `/nowhere:${directory}`;
  t.doesNotThrow(() => requireTools([['here', 'a-package']], path));
  t.throws(
    () =>
      requireTools(
        [
          ['here', 'a-package'],
          ['gone', 'lost'],
          ['also-gone', 'lost'],
          ['third', 'other'],
        ],
        path,
      ),
    { name: 'CannotRun', message: /apt-get install --no-install-recommends lost other$/ },
  );
});

t.test('another machine, another user', async (t) => {
  t.doesNotThrow(() => requireMachine('x64', 0));
  t.throws(() => requireMachine('arm64', 0), /arm64/);
  t.throws(() => requireMachine('x64', 1000), /root/);
});
