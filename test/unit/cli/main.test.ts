import { cpSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { BIN, setStage } from './script.ts';

t.test('the launcher follows links, from anywhere', async (t) => {
  const stage = await setStage(t, null);
  symlinkSync(join(BIN, 'sluice'), join(stage.directory, 'absolute'));
  mkdirSync(join(stage.directory, 'a'));
  symlinkSync('../absolute', join(stage.directory, 'a', 'relative'));
  const done = await stage.sh('cd / && "$OLDPWD/a/relative" --version');
  t.match(done, { code: 0, stdout: /^\d+\.\d+\.\d+\n$/, stderr: '' });
});

t.test('without node_modules it says what to run', async (t) => {
  const stage = await setStage(t, null);
  const root = join(stage.directory, 'with space');
  mkdirSync(join(root, 'bin'), { recursive: true });
  cpSync(join(BIN, 'sluice'), join(root, 'bin', 'sluice'));
  const done = await stage.sh("'with space/bin/sluice' run -- true");
  t.equal(
    done.stderr,
    `sluice: ${root}/node_modules is missing or not complete\n  hint: run: (cd '${root}' && npm ci)\n`,
  );
  t.equal(done.code, 125, 'what it wraps was not run');
  t.equal((await stage.sh("'with space/bin/sluice' status")).code, 1);
});

t.test('a closed standard output is no reason for noise', async (t) => {
  const stage = await setStage(t, null);
  const done = await stage.sh('(sluice help flows; :) | :');
  t.equal(done.stderr, '');
});
