/** File systems in files, made by mke2fs from a directory: no mount, no loop device. */
import { closeSync, ftruncateSync, globSync, openSync, writeSync } from 'node:fs';
import { must } from '#test/support/command.ts';

const MEBIBYTE = 1024 * 1024;
const MAKE_TIMEOUT_MS = 300_000;
/** Of each file in it, over its own bytes. */
const INODE_AND_BLOCK = 5 * 1024;
/** For what a guest writes there. */
const ROOM_MIB = 64;
const SECTOR = 512;

async function sizeMib(directory: string): Promise<{ mib: number; files: number }> {
  const used = Number((await must(['du', '-sm', '--apparent-size', directory])).split('\t')[0]);
  const files = Number(await must(['sh', '-c', 'find "$1" | wc -l', 'sh', directory]));
  return { mib: used + Math.ceil((files * INODE_AND_BLOCK) / MEBIBYTE) + ROOM_MIB, files };
}

/** An ext4 of what `directory` holds, found by its label. */
export async function makeDisk(file: string, label: string, directory: string): Promise<void> {
  const { mib, files } = await sizeMib(directory);
  await mke2fs(file, label, directory, [`${mib}m`], ['-N', String(files + 4096)]);
}

/** The id of the boot disk's partition: a kernel without initrd knows disks by that alone. */
export const ROOT_PARTUUID = '6d767773-01';

/** A disk with one partition, for a kernel that has to find its root without an initrd. */
export async function makeBootDisk(file: string, label: string, directory: string): Promise<void> {
  const { mib } = await sizeMib(directory);
  // Half as much again, for what is written while it runs.
  const partitionMib = Math.ceil(mib * 1.5);
  const fd = openSync(file, 'w');
  try {
    ftruncateSync(fd, (partitionMib + 1) * MEBIBYTE);
    writeSync(fd, masterBootRecord(MEBIBYTE / SECTOR, (partitionMib * MEBIBYTE) / SECTOR));
  } finally {
    closeSync(fd);
  }
  await mke2fs(file, label, directory, [`${partitionMib}m`], ['-F', '-E', `offset=${MEBIBYTE}`]);
}

/** One Linux partition, in sectors. Source: the table of four entries at 446, each of 16 bytes, and its signature. */
export function masterBootRecord(start: number, length: number): Buffer {
  const sector = Buffer.alloc(SECTOR);
  sector.writeUInt32LE(Number.parseInt(ROOT_PARTUUID, 16), 440);
  sector[446 + 4] = 0x83;
  sector.writeUInt32LE(start, 446 + 8);
  sector.writeUInt32LE(length, 446 + 12);
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}

async function mke2fs(
  file: string,
  label: string,
  directory: string,
  size: readonly string[],
  more: readonly string[],
): Promise<void> {
  const common = ['-q', '-t', 'ext4', '-L', label, '-O', '^has_journal', '-m', '0', '-d', directory];
  await must(['mke2fs', ...common, ...more, file, ...size], { timeoutMs: MAKE_TIMEOUT_MS });
}

/** The one path that fits, or null. */
export function only(pattern: string, cwd: string): string | null {
  return globSync(pattern, { cwd })[0] ?? null;
}
