/** Why guests cannot be had here. A reason to skip where a test is optional, and to refuse where it was asked for. */
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

export class CannotRun extends Error {
  override readonly name = 'CannotRun';
}

/** A program, and the Debian package that brings it. */
export type Tool = readonly [program: string, debianPackage: string];

export const IMAGE_TOOLS: readonly Tool[] = [['mmdebstrap', 'mmdebstrap']];
export const VM_TOOLS: readonly Tool[] = [
  ...IMAGE_TOOLS,
  ['qemu-system-x86_64', 'qemu-system-x86'],
  ['mke2fs', 'e2fsprogs'],
  ['depmod', 'kmod'],
  ['lz4', 'lz4'],
  ['xz', 'xz-utils'],
  ['zstd', 'zstd'],
];
export const NSPAWN_TOOLS: readonly Tool[] = [...IMAGE_TOOLS, ['systemd-nspawn', 'systemd-container']];

function isOnPath(program: string, path: string): boolean {
  return path.split(':').some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** @throws CannotRun naming every package that is missing, as a command line. */
export function requireTools(tools: readonly Tool[], path: string = process.env['PATH'] ?? ''): void {
  const missing = tools.filter(([program]) => !isOnPath(program, path)).map(([, name]) => name);
  if (missing.length === 0) return;
  const packages = [...new Set(missing)].join(' ');
  throw new CannotRun(`packages are missing. Mend: apt-get install --no-install-recommends ${packages}`);
}

/** @throws CannotRun on a machine whose Debian has no kernels for the guests. */
export function requireMachine(arch: string = process.arch, uid = process.getuid?.()): void {
  if (arch !== 'x64') throw new CannotRun(`the guests are amd64, and this machine is ${arch}`);
  if (uid !== 0) throw new CannotRun('needs root. Mend: sudo');
}
