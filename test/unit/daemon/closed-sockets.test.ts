import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { closedSocketId, expand, findClosedSockets, placeOnly } from '#src/daemon/closed-sockets.ts';
import { kernelDevice } from '#src/identity/file-id.ts';

function directory(t: Pick<Test, 'teardown'>): string {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'sluice-sockets-')));
  t.teardown(() => rmSync(dir, { recursive: true }));
  return dir;
}

const id = (path: string) => {
  const { dev, ino } = statSync(path, { bigint: true });
  return { dev: kernelDevice(dev), inode: ino };
};
const place = (dir: string, name: string) => {
  const { dev, inode } = id(dir);
  return { directoryInode: inode, dev, name };
};

t.test('a star stands for every name there is; nothing else is looked for', async (t) => {
  const dir = directory(t);
  for (const user of ['1000', '1001']) mkdirSync(join(dir, 'user', user), { recursive: true });
  t.same(expand(`${dir}/user/*/bus`), [`${dir}/user/1000/bus`, `${dir}/user/1001/bus`]);
  t.same(expand(`${dir}/nobody/*/bus`), []);
  t.same(expand('/run/docker.sock'), ['/run/docker.sock']);
});

t.test('one that is there is known by inode and by place, one that is not by its place', async (t) => {
  const dir = directory(t);
  const path = join(dir, 'engine.sock');
  const number = closedSocketId(path);
  t.same(findClosedSockets([path]), {
    files: [],
    places: [{ ...place(dir, 'engine.sock'), id: number }],
    watched: [path],
  });
  writeFileSync(path, '');
  linkSync(path, join(dir, 'other'));
  t.same(findClosedSockets([path]).files, [{ ...id(join(dir, 'other')), id: number }]);
  t.same(placeOnly(path), { ...place(dir, 'engine.sock'), id: number });
});

t.test('a link is followed: the kernel sees where the socket is bound', async (t) => {
  const dir = directory(t);
  mkdirSync(join(dir, 'real'));
  writeFileSync(join(dir, 'real/api.sock'), '');
  symlinkSync(join(dir, 'real/api.sock'), join(dir, 'engine.sock'));
  symlinkSync(join(dir, 'real'), join(dir, 'var'));
  const linked = findClosedSockets([join(dir, 'engine.sock'), join(dir, 'var/later.sock')]);
  t.match(linked.places, [place(join(dir, 'real'), 'api.sock'), place(join(dir, 'real'), 'later.sock')]);
  t.match(linked.files, [id(join(dir, 'real/api.sock'))]);
});

t.test('without its directory there is nothing to know', async (t) => {
  const path = join(directory(t), 'nowhere/x.sock');
  t.same(findClosedSockets([path]), { files: [], places: [], watched: [path] });
  t.equal(placeOnly(path), null);
});
