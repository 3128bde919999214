import { mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { lookAtExecutable } from '#src/daemon/executables.ts';
import { HeldExecutables } from '#src/daemon/held-executables.ts';

const dir = mkdtempSync(join(tmpdir(), 'sluice-held-'));
t.teardown(() => rmSync(dir, { recursive: true }));
const file = join(dir, 'program');
const descriptors = (): number => readdirSync('/proc/self/fd').length;

function made(content: string): { readonly dev: number; readonly inode: bigint } {
  writeFileSync(`${file}.new`, content);
  renameSync(`${file}.new`, file);
  return lookAtExecutable(file, false).id;
}

t.test('a deleted file keeps its number while it is held, and no longer', async (t) => {
  const before = descriptors();
  const held = new HeldExecutables();
  const first = made('one');
  t.ok(held.hold([file], [first]));
  rmSync(file);
  for (let n = 0; n < 16; n++) {
    writeFileSync(join(dir, `next-${n}`), '');
    t.not(lookAtExecutable(join(dir, `next-${n}`), false).id.inode, first.inode);
  }
  t.equal(descriptors(), before + 1);
  held.close();
  t.equal(descriptors(), before);
});

t.test('one that has been replaced since is told', async (t) => {
  const held = new HeldExecutables();
  const first = made('one');
  const second = made('two');
  t.notOk(held.hold([file], [first]));
  t.ok(held.hold([file], [second]));
  rmSync(file);
  t.notOk(held.hold([file], [second]), 'so is one that is gone');
  held.close();
});
