/**
 * Is this open file the one the kernel plane saw by device and inode?
 *
 * The kernel plane reads `inode->i_sb->s_dev` and `inode->i_ino`. stat(2) shows the same pair on most file
 * systems, but btrfs and overlayfs make up a device for it. There the pair is found in /proc/self/fdinfo (inode,
 * and which mount) and mountinfo (device of that mount), which show what the kernel plane sees.
 */
import { type BigIntStats, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface FileId {
  /** As the kernel numbers it: major << 20 | minor. */
  readonly dev: number;
  readonly inode: bigint;
}

/** Major and minor as glibc spreads them over 64 bits of `st_dev` (makedev(3)), put together as the kernel does. */
export function kernelDevice(statDev: bigint): number {
  const major = ((statDev >> 32n) & 0xfffff000n) | ((statDev >> 8n) & 0xfffn);
  const minor = ((statDev >> 12n) & 0xffffff00n) | (statDev & 0xffn);
  return kernelDeviceOf(Number(major), Number(minor));
}

function kernelDeviceOf(major: number, minor: number): number {
  return major * 2 ** 20 + minor;
}

/** Device of mount `mountId` in the text of a mountinfo file, or null. (proc_pid_mountinfo(5)) */
export function mountDevice(mountInfo: string, mountId: string): number | null {
  for (const line of mountInfo.split('\n')) {
    const [id, , device] = line.split(' ', 3);
    if (id !== mountId || device === undefined) continue;
    const [major, minor] = device.split(':').map(Number);
    return major === undefined || minor === undefined ? null : kernelDeviceOf(major, minor);
  }
  return null;
}

/**
 * What the kernel plane takes the open file `fd` of this process for.
 *
 * @throws what reading /proc does, and Error where it does not say.
 */
export function fileIdOf(fd: number, procRoot = '/proc'): FileId {
  const info = readFileSync(join(procRoot, 'self/fdinfo', String(fd)), 'latin1');
  const inode = /^ino:\s*(\d+)$/m.exec(info)?.[1];
  const mountId = /^mnt_id:\s*(\d+)$/m.exec(info)?.[1];
  const device = mountDevice(readFileSync(join(procRoot, 'self/mountinfo'), 'latin1'), mountId ?? '');
  if (inode === undefined || device === null) throw new Error('its device and inode cannot be told');
  return { dev: device, inode: BigInt(inode) };
}

async function isFileByMount(procRoot: string, fd: number, pid: number, want: FileId): Promise<boolean> {
  try {
    const info = await readFile(join(procRoot, 'self/fdinfo', String(fd)), 'latin1');
    const inode = /^ino:\s*(\d+)$/m.exec(info)?.[1];
    const mountId = /^mnt_id:\s*(\d+)$/m.exec(info)?.[1];
    if (inode === undefined || mountId === undefined || BigInt(inode) !== want.inode) return false;
    for (const process of ['self', String(pid)]) {
      const device = mountDevice(await readFile(join(procRoot, process, 'mountinfo'), 'latin1'), mountId);
      if (device !== null) return device === want.dev;
    }
    return false;
  } catch {
    return false;
  }
}

/**
 * True if the open file `fd` with `stat` is `want`. `pid` names a process whose mounts may hold it (a container's
 * are not ours).
 */
export async function isFile(
  procRoot: string,
  fd: number,
  stat: BigIntStats,
  pid: number,
  want: FileId,
): Promise<boolean> {
  if (stat.ino === want.inode && kernelDevice(stat.dev) === want.dev) return true;
  return isFileByMount(procRoot, fd, pid, want);
}
