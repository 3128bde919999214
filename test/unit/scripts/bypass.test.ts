/** scripts/bypass, in a tree that holds nothing else: whatever it would set up first fails there. */
import { spawnSync } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import t from 'tap';

const SCRIPT = new URL('../../../scripts/bypass', import.meta.url).pathname;

t.test('help is given at once, to anybody', async (t) => {
  const root = t.testdir({ scripts: {} });
  copyFileSync(SCRIPT, `${root}/scripts/bypass`);
  const done = spawnSync('sh', [`${root}/scripts/bypass`, '--help'], { encoding: 'utf8' });
  t.match(done, { status: 0, stderr: '', stdout: /^Tries every[\s\S]*--only TEXT[\s\S]*^Exit code: /m });
  t.notMatch(done.stdout, /set -eu|#/);
});
