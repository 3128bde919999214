/**
 * The guests Sluice is tried in: a Debian suite's systemd on one of Debian's kernels, in one cgroup layout. And what
 * runs there: every payload of a folder, so that a new payload is a new file and nothing else.
 */
import { globSync } from 'node:fs';
import { join } from 'node:path';

/** systemd.unified_cgroup_hierarchy and friends, kernel-command-line of systemd(1). */
export type CgroupLayout = 'unified' | 'hybrid' | 'legacy';

export interface Pair {
  /** As `--pair` takes it: SUITE/KERNEL, and the layout if it is not the usual one. */
  readonly name: string;
  readonly suite: 'bookworm' | 'trixie';
  readonly kernel: KernelName;
  readonly cgroups: CgroupLayout;
  /** Folder of test/vm/payloads: what must hold in this guest. */
  readonly expects: 'works' | 'refuses';
}

/** Where each kernel comes from: the suites of Debian that have it. */
export const KERNELS = {
  '5.10': ['bullseye-security'],
  '6.1': ['bookworm-security'],
  '6.12': ['trixie'],
  '7.3': ['trixie-backports'],
} as const satisfies Record<string, readonly string[]>;

export type KernelName = keyof typeof KERNELS;

export const PAIRS: readonly Pair[] = [
  { name: 'bookworm/6.1', suite: 'bookworm', kernel: '6.1', cgroups: 'unified', expects: 'works' },
  { name: 'trixie/6.12', suite: 'trixie', kernel: '6.12', cgroups: 'unified', expects: 'works' },
  { name: 'trixie/7.3', suite: 'trixie', kernel: '7.3', cgroups: 'unified', expects: 'works' },
  { name: 'bookworm/5.10', suite: 'bookworm', kernel: '5.10', cgroups: 'unified', expects: 'refuses' },
  { name: 'bookworm/6.1/hybrid', suite: 'bookworm', kernel: '6.1', cgroups: 'hybrid', expects: 'refuses' },
  { name: 'bookworm/6.1/v1', suite: 'bookworm', kernel: '6.1', cgroups: 'legacy', expects: 'refuses' },
];

/** What runs without `--pair` or `--all`: the oldest kernel all of Sluice works on. */
export const DEFAULT_PAIR = 'bookworm/6.1';

/** Tests of the host that say something on each kernel, and are small enough for an emulated one. */
const ON_EVERY_KERNEL = ['test/bpf/redirect.test.ts', 'test/bpf/refuse.test.ts'];

/** Test files to run in the guest, from the root of the checkout. */
export function testsFor(pair: Pair): string[] {
  const root = join(import.meta.dirname, '../..');
  const own = globSync(`test/vm/payloads/${pair.expects}/*.test.ts`, { cwd: root }).sort();
  return pair.expects === 'works' ? [...own, ...ON_EVERY_KERNEL] : own;
}

/** The kernel's command line that makes systemd lay cgroups out so. */
export function cgroupArguments(layout: CgroupLayout): string[] {
  if (layout === 'unified') return ['systemd.unified_cgroup_hierarchy=1'];
  const controller = layout === 'hybrid' ? '0' : '1';
  return ['systemd.unified_cgroup_hierarchy=0', `systemd.legacy_systemd_cgroup_controller=${controller}`];
}
