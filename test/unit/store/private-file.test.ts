import { chmodSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { makePrivateFile } from '#src/store/private-file.ts';

const modeOf = (path: string) => statSync(path).mode & 0o777;

t.test('makes the file and what is missing above it, for nobody else', async (t) => {
  const dir = t.testdir();
  const path = join(dir, 'a', 'b', 'file');
  makePrivateFile(path);
  t.equal(modeOf(path), 0o600);
  t.equal(modeOf(join(dir, 'a', 'b')), 0o700);
  t.equal(modeOf(join(dir, 'a')), 0o700);
});

t.test('takes others’ rights from a file that is there, and keeps what is in it', async (t) => {
  const path = join(t.testdir({ file: 'kept' }), 'file');
  chmodSync(path, 0o666);
  makePrivateFile(path);
  t.equal(modeOf(path), 0o600);
  t.equal(readFileSync(path, 'utf8'), 'kept');
});

t.test('leaves a directory alone that only others read, and refuses one they write', async (t) => {
  const dir = t.testdir({ here: {} });
  chmodSync(join(dir, 'here'), 0o755);
  makePrivateFile(join(dir, 'here', 'file'));
  t.equal(modeOf(join(dir, 'here')), 0o755);
  for (const mode of [0o777, 0o770, 0o1777]) {
    chmodSync(join(dir, 'here'), mode);
    t.throws(() => makePrivateFile(join(dir, 'here', 'file')), { code: 'PERMISSION' }, mode.toString(8));
  }
});

t.test('follows no link and takes only a file', async (t) => {
  const dir = t.testdir({ target: 'precious' });
  symlinkSync(join(dir, 'target'), join(dir, 'link'));
  chmodSync(join(dir, 'target'), 0o644);
  t.throws(() => makePrivateFile(join(dir, 'link')), { code: 'PERMISSION' });
  t.equal(modeOf(join(dir, 'target')), 0o644);
  mkdirSync(join(dir, 'directory'));
  t.throws(() => makePrivateFile(join(dir, 'directory')), { code: 'EISDIR' });
  writeFileSync(join(dir, 'plain'), '');
  t.throws(() => makePrivateFile(join(dir, 'plain', 'file')), { code: /ENOTDIR|EEXIST/ });
});
