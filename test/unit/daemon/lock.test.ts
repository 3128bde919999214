import { lstatSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { takeLock } from '#src/daemon/lock.ts';

t.test('the lock is taken once, and holds the pid', async (t) => {
  const dir = join(t.testdir(), 'run');
  takeLock(dir);
  t.equal(readFileSync(join(dir, 'daemon.lock'), 'utf8'), `${process.pid}\n`);
  t.equal(lstatSync(dir).mode & 0o777, 0o700);
  t.throws(() => takeLock(dir), { code: 'ALREADY_RUNNING', message: new RegExp(String(process.pid)) });
});

t.test('a longer pid of a former daemon leaves nothing behind', async (t) => {
  const dir = t.testdir({ 'daemon.lock': '123456789012345\n' });
  takeLock(dir);
  t.equal(readFileSync(join(dir, 'daemon.lock'), 'utf8'), `${process.pid}\n`);
});

t.test('a link in its place is not followed', async (t) => {
  const dir = t.testdir({ run: {} });
  const precious = join(dir, 'precious');
  writeFileSync(precious, 'of somebody else');
  symlinkSync(precious, join(dir, 'run', 'daemon.lock'));
  t.throws(() => takeLock(join(dir, 'run')), { name: 'SluiceError' });
  t.equal(readFileSync(precious, 'utf8'), 'of somebody else');
});
