import { readFileSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import t from 'tap';
import { isFile, kernelDevice, mountDevice } from '#src/identity/file-id.ts';

const MOUNTS = `22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:3 / / rw,relatime - ext4 /dev/vda rw
31 27 0:52 /@root /srv rw shared:9 - btrfs /dev/vdb rw,subvolid=256
`;

t.test('puts st_dev together as the kernel numbers devices', async (t) => {
  t.equal(kernelDevice(0xfe00n), 254 * 2 ** 20);
  t.equal(kernelDevice(0x803n), 8 * 2 ** 20 + 3);
  t.equal(kernelDevice((0x12000n << 32n) | (0x345n << 8n) | 0x67n), 0x12345 * 2 ** 20 + 0x67);
  t.equal(kernelDevice((0xabcn << 20n) | 0xden), 0xabcde, 'minor above 255');
});

t.test('finds the device of a mount', async (t) => {
  t.equal(mountDevice(MOUNTS, '27'), 254 * 2 ** 20 + 3);
  t.equal(mountDevice(MOUNTS, '31'), 52);
  t.equal(mountDevice(MOUNTS, '3'), null);
});

t.test('knows a file by stat', async (t) => {
  const file = await open(process.execPath);
  const stat = await file.stat({ bigint: true });
  const want = { dev: kernelDevice(stat.dev), inode: stat.ino };
  t.ok(await isFile('/proc', file.fd, stat, process.pid, want));
  t.notOk(await isFile('/proc', file.fd, stat, process.pid, { ...want, inode: want.inode + 1n }));
  t.notOk(await isFile('/proc', file.fd, stat, process.pid, { ...want, dev: want.dev + 1 }));
  await file.close();
});

t.test('knows a file by its mount where stat shows a made-up device', async (t) => {
  const proc = t.testdir({
    self: { fdinfo: { 9: 'pos:\t0\nflags:\t0100000\nmnt_id:\t31\nino:\t257\n' }, mountinfo: MOUNTS },
  });
  const stat = statSync('/proc', { bigint: true });
  t.ok(await isFile(proc, 9, stat, 1, { dev: 52, inode: 257n }));
  t.notOk(await isFile(proc, 9, stat, 1, { dev: 53, inode: 257n }));
  t.notOk(await isFile(proc, 9, stat, 1, { dev: 52, inode: 258n }));
  t.notOk(await isFile(proc, 8, stat, 1, { dev: 52, inode: 257n }), 'no such descriptor');
});

t.test('knows a file by a mount of the process, when it is none of ours', async (t) => {
  const proc = t.testdir({
    self: { fdinfo: { 9: 'mnt_id:\t900\nino:\t257\n' }, mountinfo: MOUNTS },
    42: { mountinfo: '900 1 0:77 / / rw - overlay overlay rw\n' },
  });
  const stat = statSync('/proc', { bigint: true });
  t.ok(await isFile(proc, 9, stat, 42, { dev: 77, inode: 257n }));
  t.notOk(await isFile(proc, 9, stat, 43, { dev: 77, inode: 257n }));
});

t.test('reads the real fdinfo and mountinfo the same way', async (t) => {
  const file = await open('/proc/self/stat');
  const info = readFileSync(`/proc/self/fdinfo/${file.fd}`, 'latin1');
  const inode = /^ino:\s*(\d+)$/m.exec(info)?.[1];
  const mount = /^mnt_id:\s*(\d+)$/m.exec(info)?.[1] ?? '';
  const device = mountDevice(readFileSync('/proc/self/mountinfo', 'latin1'), mount);
  const stat = await file.stat({ bigint: true });
  if (inode === undefined) t.comment('this kernel shows no inode in fdinfo');
  else t.equal(BigInt(inode), stat.ino);
  t.equal(device, kernelDevice(stat.dev));
  await file.close();
});
