/** One of Debian's cloud kernels, which have NVMe and ext4 built in and so start without an initrd. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '#test/support/command.ts';
import { findMirrors, PrivateApt } from './apt.ts';
import type { Cache } from './cache.ts';
import { makeDisk, only } from './disk.ts';
import { KERNELS, type KernelName } from './pairs.ts';
import { extractVmlinux } from './vmlinux.ts';

export interface Kernel {
  readonly vmlinux: string;
  /** Disk for /usr/lib/modules. */
  readonly modules: string;
}

const META_PACKAGE = 'linux-image-cloud-amd64';
/** Packages of one version: the image itself, and since 7.x base, binary and modules beside it. */
const VERSIONED = /^linux-(?:image|base|binary|modules)-\d/;
/** Raised when what is made below changes. */
const RECIPE = '1';
const UNPACK_TIMEOUT_MS = 120_000;

export async function getKernel(cache: Cache, name: KernelName): Promise<Kernel> {
  const directory = await cache.get(`kernels/${name}`, RECIPE, (into) => build(name, into));
  return { vmlinux: join(directory, 'vmlinux'), modules: join(directory, 'modules.ext4') };
}

export function hasKernel(cache: Cache, name: KernelName): boolean {
  return cache.has(`kernels/${name}`, RECIPE);
}

async function build(name: KernelName, into: string): Promise<void> {
  const work = join(into, 'work');
  const tree = join(work, 'tree');
  const packages = join(work, 'packages');
  for (const directory of [tree, packages]) mkdirSync(directory, { recursive: true });
  const apt = await PrivateApt.open(join(work, 'apt'), await findMirrors(), KERNELS[name]);
  await apt.download(await packagesOf(apt), packages);
  const script = 'for file in "$1"/*.deb; do dpkg-deb -x "$file" "$2"; done';
  await must(['sh', '-c', script, 'sh', packages, tree], { timeoutMs: UNPACK_TIMEOUT_MS });
  const image = only('boot/vmlinuz-*', tree) ?? only('usr/lib/modules/*/vmlinu*', tree);
  const modules = only('lib/modules/*', tree) ?? only('usr/lib/modules/*', tree);
  if (image === null || modules === null) throw new Error(`the packages of ${name} hold no kernel`);
  const release = modules.split('/').at(-1) ?? '';
  if (!release.startsWith(`${name}.`))
    throw new Error(`wanted a kernel ${name}, and the mirror gave ${release}`);
  writeFileSync(join(into, 'vmlinux'), extractVmlinux(readFileSync(join(tree, image))));
  // depmod wants them below lib/modules.
  const base = join(tree, modules.startsWith('usr/') ? 'usr' : '');
  await must(['depmod', '-b', base, release], { timeoutMs: UNPACK_TIMEOUT_MS });
  await makeDisk(join(into, 'modules.ext4'), 'sluicekmod', join(base, 'lib/modules'));
  rmSync(work, { recursive: true });
}

/** The versioned packages behind the meta package. */
async function packagesOf(apt: PrivateApt): Promise<string[]> {
  const found = new Set<string>();
  const queue = [META_PACKAGE];
  for (let name = queue.shift(); name !== undefined; name = queue.shift())
    for (const dependency of await apt.dependencies(name))
      if ((VERSIONED.test(dependency) || dependency.endsWith('cloud-amd64')) && !found.has(dependency)) {
        found.add(dependency);
        queue.push(dependency);
      }
  return [...found].filter((name) => VERSIONED.test(name));
}
