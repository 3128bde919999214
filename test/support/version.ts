/**
 * Another version of Sluice: a copy of this one with another ABI, its structs changed, built into a directory of its
 * own. What userspace knows of their layout is written anew from what the compiler made of them, as a change by hand
 * would be.
 */
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { SLUICE_ABI } from '#src/kernel/layout.ts';
import { structLayouts } from './btf.ts';
import { must } from './command.ts';

const ROOT = join(import.meta.dirname, '../..');
const COPIED = [
  'bin',
  'bpf',
  'src',
  'package.json',
  'examples',
  'test/support',
  'build/Release',
  'build/native',
];

export interface Edit {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

const inHeader = (from: string, to: string): Edit => ({ file: 'bpf/api/sluice.h', from, to });

/** A field in the middle of one struct and of those it is in, others in another order, a counter more. */
const NEXT: readonly Edit[] = [
  inHeader(`#define SLUICE_ABI ${SLUICE_ABI}\n`, `#define SLUICE_ABI ${SLUICE_ABI + 1}\n`),
  inHeader(
    '  __u64 netns_cookie;\n  __u64 cgroup_id;',
    '  __u64 netns_cookie;\n  __u64 added;\n  __u64 cgroup_id;',
  ),
  inHeader(
    '  __u64 task_start_ns; /* with the pid names the process for good */\n  __u64 since_ns;\n  __u32 agent;\n  __u16 why;\n  __u16 flags; /* SLUICE_TAG_* */',
    '  __u32 agent;\n  __u16 flags;\n  __u16 why;\n  __u64 since_ns;\n  __u64 task_start_ns;',
  ),
  inHeader(
    '  __u64 mark;\n  __u32 role;\n  __u32 state;\n',
    '  __u32 state;\n  __u32 role;\n  __u64 mark;\n',
  ),
  inHeader('  SLUICE_REASON_MAX = 12,', '  SLUICE_REASON_MAX = 13,'),
  { file: 'src/kernel/plane.ts', from: '.length + 1;', to: '.length + 2;' },
];

/** The field is gone again, and keys of tables are in another order. */
const NEWER: readonly Edit[] = [
  inHeader(`#define SLUICE_ABI ${SLUICE_ABI}\n`, `#define SLUICE_ABI ${SLUICE_ABI + 2}\n`),
  inHeader(
    '  __u64 netns_cookie;\n  __u8 saddr[16];\n  __u16 sport; /* host byte order */\n  __u16 dport;\n  __u32 pad;\n};\n\nenum sluice_role',
    '  __u16 dport;\n  __u16 sport;\n  __u32 pad;\n  __u8 saddr[16];\n  __u64 netns_cookie;\n};\n\nenum sluice_role',
  ),
  inHeader(
    'struct sluice_denied_key {\n  __u32 agent;\n  __u32 technique;\n',
    'struct sluice_denied_key {\n  __u32 technique;\n  __u32 agent;\n',
  ),
  inHeader(
    '  __u64 suppressed; /* refusals of this agent and technique not told since the last that was */\n',
    '',
  ),
  inHeader('  __u64 sent;       /*', '  __u64 suppressed;\n  __u64 sent;       /*'),
];

const EDITS = { present: [], next: NEXT, newer: NEWER } as const;
export type VersionName = keyof typeof EDITS;

/** Where a guest, which has no compiler, finds the objects of later versions: on the disk it is given (test/vm/root.ts). */
const CARRIED = 'build/test/versions';

/** Builds the objects of later versions into a checkout, for a machine that cannot. */
export async function carryVersions(checkout: string): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-version-'));
  try {
    for (const name of ['next', 'newer'] as const) {
      copy(directory, COPIED, EDITS[name]);
      await build(directory, sourcesIn(directory));
      cpSync(join(directory, 'build/bpf'), join(checkout, CARRIED, name), { recursive: true });
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Writes the files of a version into `directory`, over those of another, as whoever installs it does. */
export async function install(name: VersionName, directory: string): Promise<void> {
  copy(directory, COPIED, EDITS[name]);
  const carried = join(ROOT, name === 'present' ? 'build/bpf' : join(CARRIED, name));
  if (existsSync(carried)) cpSync(carried, join(directory, 'build/bpf'), { recursive: true });
  else await build(directory, sourcesIn(directory));
  const objects = sourcesIn(directory).map((source) => objectOf(directory, source));
  writeLayout(directory, objects, name);
}

/** Writes this version with changes in these files of `bpf/`, which no other includes. */
export async function installChanged(directory: string, edits: readonly Edit[]): Promise<void> {
  copy(directory, [...COPIED, 'build/bpf'], edits);
  await build(
    directory,
    edits.map(({ file }) => relative('bpf', file)),
  );
}

function copy(directory: string, paths: readonly string[], edits: readonly Edit[]): void {
  mkdirSync(directory, { recursive: true });
  for (const path of paths) {
    rmSync(join(directory, path), { recursive: true, force: true });
    cpSync(join(ROOT, path), join(directory, path), { recursive: true });
  }
  rmSync(join(directory, 'node_modules'), { force: true });
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
  for (const { file, from, to } of edits) {
    const path = join(directory, file);
    const text = readFileSync(path, 'utf8');
    if (!text.includes(from)) throw new Error(`${file} has no longer:\n${from}`);
    writeFileSync(path, text.replace(from, to));
  }
}

const sourcesIn = (directory: string): string[] => globSync('**/*.bpf.c', { cwd: join(directory, 'bpf') });
const objectOf = (directory: string, source: string): string =>
  join(directory, 'build/bpf', source.replace(/c$/, 'o'));

async function build(directory: string, sources: readonly string[]): Promise<void> {
  const multiarch = (await must(['cc', '-print-multiarch'])).trim();
  const flags = ['-O2', '-g', '-target', 'bpf', '-mcpu=v3', `-I/usr/include/${multiarch}`];
  for (const source of sources) {
    const object = objectOf(directory, source);
    mkdirSync(dirname(object), { recursive: true });
    await must(['clang', ...flags, '-c', join(directory, 'bpf', source), '-o', object]);
  }
}

function writeLayout(directory: string, objects: readonly string[], name: VersionName): void {
  const path = join(directory, 'src/kernel/layout.ts');
  const text = readFileSync(path, 'utf8');
  const names = [...text.matchAll(/^ {2}(sluice_\w+): \{/gm)].map(([, struct]) => struct ?? '');
  const compiled = new Map(objects.flatMap((object) => [...structLayouts(object)]));
  const layout = JSON.stringify(Object.fromEntries(names.map((struct) => [struct, compiled.get(struct)])));
  const abi = SLUICE_ABI + Object.keys(EDITS).indexOf(name);
  writeFileSync(
    path,
    text
      .replace(
        /export const layout = \{.*?\n\} as const;/s,
        () => `export const layout = ${layout} as const;`,
      )
      .replace(/SLUICE_ABI = \d+;/, `SLUICE_ABI = ${abi};`),
  );
}
