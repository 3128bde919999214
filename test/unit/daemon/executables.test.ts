import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { lookAtExecutable } from '#src/daemon/executables.ts';
import { kernelDevice } from '#src/identity/file-id.ts';

const dir = mkdtempSync(join(tmpdir(), 'sluice-executables-'));
t.teardown(() => rmSync(dir, { recursive: true }));
const file = join(dir, 'program');
writeFileSync(file, 'abc');

t.test('links are followed to where the file lies', async (t) => {
  mkdirSync(join(dir, 'links'));
  symlinkSync('../program', join(dir, 'links', 'name'));
  const found = lookAtExecutable(join(dir, 'links', 'name'), false);
  const stat = statSync(file, { bigint: true });
  t.same(found.id, { dev: kernelDevice(stat.dev), inode: stat.ino });
  t.equal(found.place.name, 'program');
  t.equal(found.place.directory.inode, statSync(dir, { bigint: true }).ino);
  t.equal(found.sha256, null);
});

t.test('a digest is that of the content now', async (t) => {
  const first = lookAtExecutable(file, true).sha256;
  t.equal(first, 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  writeFileSync(file, 'abd');
  t.not(lookAtExecutable(file, true).sha256, first);
});

t.test('what is no file says so', async (t) => {
  t.throws(() => lookAtExecutable(dir, false), { message: /not a file/ });
  t.throws(() => lookAtExecutable(join(dir, 'none'), false), { code: 'ENOENT' });
});
