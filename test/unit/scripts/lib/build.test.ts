/** scripts/lib/build, in a tree of its own with a stand-in for the compiler. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';

const SCRIPT = new URL('../../../../scripts/lib/build', import.meta.url).pathname;

t.test('what has changed is built, once', async (t) => {
  const root = t.testdir({
    native: { 'addon.cc': 'one' },
    scripts: { lib: {} },
    node_modules: { '.bin': {} },
  });
  copyFileSync(SCRIPT, `${root}/scripts/lib/build`);
  const compiler = `${root}/node_modules/.bin/cmake-js`;
  writeFileSync(compiler, '#!/bin/sh\necho "$1" >>built\n', { mode: 0o755 });
  const build = () => spawnSync('sh', [`${root}/scripts/lib/build`], { encoding: 'utf8' });
  const built = (): string => readFileSync(`${root}/built`, 'utf8');
  t.match(build(), { status: 0, stderr: /building/ });
  t.match(build(), { status: 0, stderr: '' });
  t.equal(built(), 'compile\n');
  writeFileSync(`${root}/native/addon.cc`, 'another');
  t.equal(build().status, 0);
  t.equal(built(), 'compile\n'.repeat(2), 'after a pull, say');
  writeFileSync(`${root}/native/addon.cc`, 'broken');
  writeFileSync(compiler, '#!/bin/sh\necho "addon.cc:1: error"\nexit 1\n', { mode: 0o755 });
  t.match(build(), { status: 1, stderr: /addon\.cc:1: error[\s\S]*npm run build/ });
  t.equal(build().status, 1, 'and is not taken for built');
});
