import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, globSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

const directory = t.testdir({ 'run.ts': '', src: {} });
const program = join(import.meta.dirname, '../../vm/warm.ts');
const marker = join(directory, 'was-run');
const node = (argv: readonly string[], env: Record<string, string>) =>
  spawnSync(process.execPath, argv, { cwd: directory, env: { ...process.env, ...env }, encoding: 'utf8' });
const cached = (cache: string) => ({ NODE_COMPILE_CACHE: cache, NODE_COMPILE_CACHE_PORTABLE: '1' });

t.test('everything is compiled and nothing is run, and the checkout may be elsewhere then', async (t) => {
  writeFileSync(
    join(directory, 'src/a.ts'),
    `import { writeFileSync } from 'node:fs';\nimport { b } from './b.ts';\nconst text: string = b;\nwriteFileSync(${JSON.stringify(marker)}, text);\n`,
  );
  writeFileSync(join(directory, 'src/b.ts'), `export const b: string = 'b';\n`);
  const cache = join(directory, 'cache');
  const done = node([program, 'src/a.ts'], cached(cache));
  t.equal(done.status, 0, done.stderr);
  t.notOk(existsSync(marker));
  t.strictSame(globSync('*.mjs', { cwd: directory }), [], 'nothing of its own is left');

  const moved = join(directory, 'moved');
  mkdirSync(moved);
  cpSync(join(directory, 'src'), join(moved, 'src'), { recursive: true });
  renameSync(cache, join(moved, 'cache'));
  const ran = node([join(moved, 'src/a.ts')], {
    ...cached(join(moved, 'cache')),
    NODE_DEBUG_NATIVE: 'COMPILE_CACHE',
  });
  t.ok(existsSync(marker));
  t.match(ran.stderr, /StrippedTypeScript \S+\/moved\/src\/b\.ts\.\.\.success/);
});

t.test('what cannot be compiled is said', async (t) => {
  writeFileSync(join(directory, 'src/bad.ts'), `import './nowhere.ts';\n`);
  const done = node([program, 'src/bad.ts'], cached(join(directory, 'other')));
  t.not(done.status, 0);
  t.match(done.stderr, /nowhere/);
});
