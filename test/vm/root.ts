/**
 * A small Debian with a real systemd: what a host needs to run Sluice and its tests, and one unit that starts
 * guest/run of the checkout. The same tree boots in QEMU (as a disk) and in systemd-nspawn (as a directory).
 */
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { buildProgram, CARRIED_PROGRAM } from '#test/support/bypass/field.ts';
import { must } from '#test/support/command.ts';
import { carryVersions } from '#test/support/version.ts';
import { APT_OPTIONS, findMirrors, sourceLine } from './apt.ts';
import { type Cache, digest } from './cache.ts';
import { makeBootDisk, makeDisk } from './disk.ts';
import type { Pair } from './pairs.ts';

export type Suite = Pair['suite'];

/** Where the checkout is in a guest: where README has it. */
export const GUEST_CHECKOUT = '/opt/sluice';

const PACKAGES = [
  // The system itself.
  ...['systemd', 'systemd-sysv', 'dbus', 'udev', 'kmod', 'util-linux', 'procps', 'passwd', 'iproute2'],
  // What the addon is linked with, and what README's installation asks for.
  ...['libbpf1', 'libstdc++6', 'libvectorscan5', 'zlib1g', 'ca-certificates'],
  // The tests': programs they run, servers, and the judge.
  ...[
    'bpftool',
    'curl',
    'dnsmasq-base',
    'libcap2-bin',
    'nftables',
    'nginx',
    'openssl',
    'postgresql',
    'python3',
    'tcpdump',
    'liburing2',
  ],
];

/** Of no use to a guest that lives for minutes, and each costs an emulated machine its time to start. */
const MASKED = [
  ...[
    'apt-daily.timer',
    'apt-daily-upgrade.timer',
    'dpkg-db-backup.timer',
    'fstrim.timer',
    'e2scrub_all.timer',
  ],
  ...[
    'e2scrub_reap.service',
    'getty.target',
    'console-getty.service',
    'nginx.service',
    'postgresql.service',
    'systemd-firstboot.service',
  ],
  ...[
    'systemd-hwdb-update.service',
    'systemd-journal-catalog-update.service',
    'systemd-machine-id-commit.service',
  ],
  ...['systemd-timesyncd.service', 'systemd-update-utmp.service', 'systemd-update-utmp-runlevel.service'],
  ...[
    'systemd-networkd.service',
    'systemd-networkd.socket',
    'systemd-logind.service',
    'systemd-pstore.service',
    'ldconfig.service',
  ],
];

const FILES: Readonly<Record<string, string>> = {
  'etc/hostname': 'guest\n',
  // A guest without one takes this for its first boot, and half a minute to furnish itself.
  'etc/machine-id': '5371756963656775657374000000000a\n',
  'etc/hosts': '127.0.0.1 localhost guest\n::1 localhost\n',
  'etc/resolv.conf': '',
  // Not there in nspawn, where the checkout is bound in its place.
  'etc/fstab': [
    'LABEL=sluicekmod /usr/lib/modules ext4 ro,nofail',
    `LABEL=sluicecode ${GUEST_CHECKOUT} ext4 rw,nofail`,
    `LABEL=sluicenpm ${GUEST_CHECKOUT}/node_modules ext4 ro,nofail,x-systemd.requires-mounts-for=${GUEST_CHECKOUT}`,
    '',
  ].join('\n'),
  'etc/systemd/journald.conf.d/guest.conf': '[Journal]\nStorage=volatile\nRuntimeMaxUse=64M\n',
  'etc/systemd/system/sluice-guest.target':
    '[Unit]\nDescription=Tests of Sluice\nRequires=multi-user.target\nAfter=multi-user.target\nWants=sluice-guest.service\nAllowIsolate=yes\n',
  'etc/systemd/system/sluice-guest.service': [
    '[Unit]',
    'Description=Tests of Sluice',
    'After=multi-user.target dbus.service network.target',
    `RequiresMountsFor=${GUEST_CHECKOUT}/node_modules /usr/lib/modules`,
    // A guest whose tests could not even be started must not sit there until the limit.
    'FailureAction=poweroff-force',
    '[Service]',
    'Type=exec',
    // Given to the first process by the kernel's command line, or by nspawn.
    'PassEnvironment=SLUICE_GUEST_TESTS SLUICE_GUEST_CHANNEL SLUICE_GUEST_TIMEOUT SLUICE_TEST_PATIENCE SLUICE_BYPASS_ROWS SLUICE_BYPASS_RESULT',
    `ExecStart=/bin/sh ${GUEST_CHECKOUT}/test/vm/guest/run`,
    '',
  ].join('\n'),
};

const RECIPE = digest(JSON.stringify([PACKAGES, MASKED, FILES]));
const TREE_TIMEOUT_MS = 600_000;
const WARM_TIMEOUT_MS = 120_000;

/** A directory with the whole tree; nothing may write to it. */
export function getTree(cache: Cache, suite: Suite): Promise<string> {
  return cache.get(`trees/${suite}`, RECIPE, (into) => buildTree(suite, into));
}

/** A disk to boot from. */
export async function getBootDisk(cache: Cache, suite: Suite): Promise<string> {
  const tree = await getTree(cache, suite);
  const directory = await cache.get(`roots/${suite}`, RECIPE, (into) =>
    makeBootDisk(join(into, 'root.img'), 'sluiceroot', tree),
  );
  return join(directory, 'root.img');
}

export function hasTree(cache: Cache, suite: Suite): boolean {
  return cache.has(`trees/${suite}`, RECIPE);
}

async function buildTree(suite: Suite, into: string): Promise<void> {
  const excluded = ['doc', 'man', 'locale', 'info'].map(
    (name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`,
  );
  const argv = [
    'mmdebstrap',
    '--quiet',
    '--variant=minbase',
    '--mode=root',
    ...APT_OPTIONS.map((option) => `--aptopt=${option.replace('=', ' "')}"`),
    ...excluded,
    `--include=${PACKAGES.join(',')}`,
    suite,
    join(into, 'tree'),
    sourceLine(await findMirrors(), suite),
  ];
  // Namespaces of its own: what it starts and mounts ends with it, however it ends.
  await must(['unshare', '--fork', '--pid', '--kill-child', '--mount', '--mount-proc', '--', ...argv], {
    timeoutMs: TREE_TIMEOUT_MS,
  });
  // The cache's directory holds a marker file beside the tree, which must be the root itself.
  await must(['sh', '-c', 'mv "$1/tree"/* "$1" && rmdir "$1/tree"', 'sh', into]);
  chmodSync(into, 0o755);
  furnish(into);
}

function furnish(tree: string): void {
  for (const [path, text] of Object.entries(FILES)) {
    const file = join(tree, path);
    mkdirSync(join(file, '..'), { recursive: true });
    rmSync(file, { force: true });
    writeFileSync(file, text);
  }
  for (const unit of MASKED) {
    const link = join(tree, 'etc/systemd/system', unit);
    rmSync(link, { force: true });
    symlinkSync('/dev/null', link);
  }
  for (const directory of [GUEST_CHECKOUT, '/usr/lib/modules'])
    mkdirSync(join(tree, directory), { recursive: true });
}

const checkout = join(import.meta.dirname, '../..');
/** What a guest gets of the checkout: an installation, and the tests. */
const PARTS = [
  'bin',
  'bpf',
  'build',
  'examples',
  'packaging',
  'scripts',
  'src',
  'test',
  'package.json',
  'package-lock.json',
];

/** What takes a version of Sluice to the next. */
const OF_VERSIONS = /\/(migrate|upgrade)\.test\.ts$/;

/** A disk with the checkout as it is now, built, and what tests would have to compile; it holds the mount point of the modules' disk. */
export async function makeCodeDisk(file: string, scratch: string, tests: readonly string[]): Promise<void> {
  const tree = join(scratch, 'code');
  mkdirSync(join(tree, 'node_modules'), { recursive: true });
  for (const part of PARTS)
    cpSync(join(checkout, part), join(tree, part), { recursive: true, verbatimSymlinks: true });
  const program = join(tree, CARRIED_PROGRAM);
  mkdirSync(dirname(program), { recursive: true });
  await buildProgram(dirname(program));
  if (tests.some((test) => OF_VERSIONS.test(test))) await carryVersions(tree);
  await warm(tree);
  await makeDisk(file, 'sluicecode', tree);
}

/** Where a guest's Node finds what it would make of each file: see guest/run. */
const COMPILE_CACHE = '.node-compile-cache';
/** All a guest may start. */
const WARMED = [
  'src/**/*.ts',
  'test/support/**/*.ts',
  'test/vm/payloads/**/*.ts',
  'test/{bpf,e2e}/*.test.ts',
];

/** Fills that cache, by this host's Node, which is the guest's. Without it a guest is slow, and nothing else. */
async function warm(tree: string): Promise<void> {
  const modules = join(tree, 'node_modules');
  // The guest has them there, by a mount: the same paths.
  rmdirSync(modules);
  symlinkSync(join(checkout, 'node_modules'), modules);
  await must([process.execPath, '--preserve-symlinks', 'test/vm/warm.ts', ...WARMED], {
    cwd: tree,
    env: { NODE_COMPILE_CACHE: join(tree, COMPILE_CACHE), NODE_COMPILE_CACHE_PORTABLE: '1' },
    timeoutMs: WARM_TIMEOUT_MS,
  });
  rmSync(modules);
  mkdirSync(modules);
}

/** A disk with node_modules, kept until the lock file changes. */
export async function getModulesDisk(cache: Cache): Promise<string> {
  const recipe = digest(readFileSync(join(checkout, 'package-lock.json')));
  const directory = await cache.get('node_modules', recipe, (into) =>
    makeDisk(join(into, 'modules.ext4'), 'sluicenpm', join(checkout, 'node_modules')),
  );
  return join(directory, 'modules.ext4');
}
