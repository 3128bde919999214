import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { listenPrivately } from '#src/api/unix-socket.ts';
import { temporaryDirectory } from './temporary.ts';

function newServer(t: Test): Server {
  const server = createServer();
  t.teardown(() => server.close());
  return server;
}

t.test('socket and directory are for their owner alone', async (t) => {
  const directory = join(temporaryDirectory(t), 'run', 'sluice');
  const path = join(directory, 'api.sock');
  const before = process.umask();
  await listenPrivately(newServer(t), path);
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.equal(statSync(directory).mode & 0o777, 0o700);
  t.equal(process.umask(), before, 'the mask is as it was');
});

t.test('one daemon per socket', async (t) => {
  const path = join(temporaryDirectory(t), 'api.sock');
  await listenPrivately(newServer(t), path);
  await t.rejects(listenPrivately(newServer(t), path), { code: 'ALREADY_RUNNING' });
});

t.test('what a dead daemon left is replaced', async (t) => {
  const directory = temporaryDirectory(t);
  const path = join(directory, 'api.sock');
  // A process that binds and is killed leaves its socket behind; one that ends in order would remove it.
  const script =
    'require("node:net").createServer().listen(process.argv[1], () => process.kill(process.pid, 9))';
  spawnSync(process.execPath, ['-e', script, path]);
  t.ok(statSync(path).isSocket());
  await listenPrivately(newServer(t), path);
  t.equal(statSync(path).mode & 0o777, 0o600);
});

t.test('refuses a place that is not safe or not free', async (t) => {
  const directory = temporaryDirectory(t);
  writeFileSync(join(directory, 'file'), '');
  const path = join(directory, 'file');
  await t.rejects(listenPrivately(newServer(t), path), { code: 'CONFIG', message: /not a socket/ });
  const open = join(directory, 'open');
  mkdirSync(open);
  chmodSync(open, 0o777);
  await t.rejects(listenPrivately(newServer(t), join(open, 's')), { code: 'CONFIG', message: /by others/ });
  await t.rejects(listenPrivately(newServer(t), join(directory, 'x'.repeat(120))), { code: 'CONFIG' });
  writeFileSync(join(directory, 'plain'), '');
  await t.rejects(listenPrivately(newServer(t), join(directory, 'plain', 's')), { code: 'CONFIG' });
});
