/**
 * The guests Sluice is tried in: a Debian suite's systemd on one of Debian's kernels, in one cgroup layout. And what
 * runs there: every payload of a folder, so that a new payload is a new file and nothing else.
 */
import { globSync } from 'node:fs';
import { join } from 'node:path';

export interface Pair {
  /** As `--pair` takes it: SUITE/KERNEL, and what is not usual about it. */
  readonly name: string;
  readonly suite: 'bookworm' | 'trixie';
  readonly kernel: KernelName;
  /** Put on the kernel's command line: how cgroups are laid out, and whatever else makes this guest another. */
  readonly kernelArguments: readonly string[];
  /** Folder of test/vm/payloads: what must hold in this guest. */
  readonly expects: 'works' | 'refuses' | 'without-lsm';
}

/** Where each kernel comes from: the suites of Debian that have it. */
export const KERNELS = {
  '5.10': ['bullseye-security'],
  '6.1': ['bookworm-security'],
  '6.12': ['trixie'],
  '7.3': ['trixie-backports'],
} as const satisfies Record<string, readonly string[]>;

export type KernelName = keyof typeof KERNELS;

/** How systemd lays cgroups out: systemd.unified_cgroup_hierarchy and friends, kernel-command-line(7). */
const UNIFIED = ['systemd.unified_cgroup_hierarchy=1'];
const HYBRID = ['systemd.unified_cgroup_hierarchy=0', 'systemd.legacy_systemd_cgroup_controller=0'];
const LEGACY = ['systemd.unified_cgroup_hierarchy=0', 'systemd.legacy_systemd_cgroup_controller=1'];

const works = (suite: Pair['suite'], kernel: KernelName): Pair => ({
  name: `${suite}/${kernel}`,
  suite,
  kernel,
  kernelArguments: UNIFIED,
  expects: 'works',
});

const refuses = (kernel: KernelName, kernelArguments: readonly string[], layout?: string): Pair => ({
  name: ['bookworm', kernel, ...(layout === undefined ? [] : [layout])].join('/'),
  suite: 'bookworm',
  kernel,
  kernelArguments,
  expects: 'refuses',
});

export const PAIRS: readonly Pair[] = [
  works('bookworm', '6.1'),
  works('trixie', '6.12'),
  works('trixie', '7.3'),
  // Security modules as Debian has them, but for the BPF LSM.
  {
    ...works('trixie', '6.12'),
    name: 'trixie/6.12/without-lsm',
    kernelArguments: [...UNIFIED, 'lsm=landlock,lockdown,yama,integrity,apparmor'],
    expects: 'without-lsm',
  },
  refuses('5.10', UNIFIED),
  refuses('6.1', HYBRID, 'hybrid'),
  refuses('6.1', LEGACY, 'v1'),
];

/** What runs without `--pair` or `--all`: the oldest kernel all of Sluice works on. */
export const DEFAULT_PAIR = 'bookworm/6.1';

/** Tests of the host that say something on each kernel, and are small enough for an emulated one. */
const ON_EVERY_KERNEL = [
  'test/bpf/migrate.test.ts',
  'test/bpf/nones.test.ts',
  'test/bpf/redirect.test.ts',
  'test/bpf/refuse.test.ts',
  'test/bpf/verifier.test.ts',
];

/**
 * What a guest of some minutes can show, as each run of CI has one: installed as README does, the tier, units end to end,
 * restarted and stopped, and a few ways past it of each layer.
 */
const BRIEF = ['systemd', 'bypass'];

/** As testsFor(), of these; all of them where a guest has nothing to do but to refuse. */
export function briefTestsFor(pair: Pair): string[] {
  const brief = new Set(BRIEF.map((name) => `test/vm/payloads/works/${name}.test.ts`));
  return testsFor(pair).filter((file) => pair.expects !== 'works' || brief.has(file));
}

/** Test files to run in the guest, from the root of the checkout. */
export function testsFor(pair: Pair): string[] {
  const root = join(import.meta.dirname, '../..');
  const own = globSync(`test/vm/payloads/${pair.expects}/*.test.ts`, { cwd: root }).sort();
  return pair.expects === 'works' ? [...own, ...ON_EVERY_KERNEL] : own;
}
