import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { ExeWatch } from '#src/daemon/exe-watch.ts';

const dir = mkdtempSync(join(tmpdir(), 'sluice-exe-watch-'));
t.teardown(() => rmSync(dir, { recursive: true }));
/** The watch keeps no process alive. */
const alive = setInterval(() => undefined, 1_000);
t.teardown(() => clearInterval(alive));

t.test('a file that is put in the place of a watched one, or of what a link leads to, is told', async (t) => {
  writeFileSync(join(dir, 'program-1'), '1');
  symlinkSync('program-1', join(dir, 'program'));
  let told = Promise.withResolvers<void>();
  const watch = new ExeWatch(() => told.resolve());
  t.teardown(() => watch.close());
  watch.set([join(dir, 'program')]);
  for (const name of ['program-1', 'program']) {
    told = Promise.withResolvers();
    writeFileSync(join(dir, 'fresh'), '2');
    renameSync(join(dir, 'fresh'), join(dir, name));
    await told.promise;
    t.pass(name);
  }
});

t.test('a directory that is not there is no error, and nothing is told after the end', async (t) => {
  const watch = new ExeWatch(() => t.fail('told'));
  watch.set([join(dir, 'no/such/program'), join(dir, 'program-1')]);
  writeFileSync(join(dir, 'program-1'), '3');
  watch.close();
  t.doesNotThrow(() => watch.close());
});
