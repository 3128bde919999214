/**
 * The tables and rings of the kernel plane whose size is the operator's to choose: how many of what there can be at
 * once. They are made with the pins and keep their size as long as these are there.
 */
import { existsSync } from 'node:fs';
import { errnoOf, messageOf, SluiceError } from '../core/errors.ts';
import { addon } from './addon.ts';
import { pinPaths } from './pins.ts';

interface Table {
  readonly maps: readonly [string, ...string[]];
  readonly least: number;
  readonly most: number;
}

/** More entries than there can be processes, or than a host has memory for. */
const MOST = 4_194_304;
const entries = (...maps: [string, ...string[]]): Table => ({ maps, least: 1, most: MOST });
/** Powers of two, of whole pages. */
const ring = (map: string): Table => ({ maps: [map], least: 65_536, most: 2 ** 30 });

/** By the name an operator knows; sizes are in bpf/lib/maps.h. */
export const tables = {
  processes: entries('sluice_tags'),
  'pending-flows': entries('sluice_tuples'),
  'cgroup-paths': entries('sluice_paths'),
  'user-ids': entries('sluice_uids'),
  executables: entries('sluice_exes', 'sluice_exe_places'),
  inbound: entries('sluice_inbound'),
  refusals: entries('sluice_denied'),
  'cgroup-cache': entries('sluice_cgroups'),
  'udp-peers': entries('sluice_peers'),
  'dns-questions': entries('sluice_datagrams'),
  namespaces: entries('sluice_netns'),
  'flow-ring-bytes': ring('sluice_ring_flow'),
  'deny-ring-bytes': ring('sluice_ring_deny'),
};

export type TableName = keyof typeof tables;
export type TableSizes = Readonly<Partial<Record<TableName, number>>>;

export const tableNames = Object.keys(tables) as TableName[];

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(Math.log2(value));
}

/** Why a table cannot have that size; null if it can. */
export function badSize(name: TableName, size: number): string | null {
  const { least, most } = tables[name];
  if (!Number.isInteger(size) || size < least || size > most) return `not a number from ${least} to ${most}`;
  return name.endsWith('-bytes') && !isPowerOfTwo(size) ? 'not a power of two' : null;
}

function pinnedSize(path: string): number | null {
  if (!existsSync(path)) return null;
  const map = new (addon().BpfMap)(path);
  const size = map.size();
  map.close();
  return size;
}

/**
 * Sizes by the names of maps.
 *
 * @throws SluiceError CONFIG when a table that is pinned has another size: to make it anew would lose what it holds.
 */
export function mapSizes(pinDirectory: string, wanted: TableSizes): Record<string, number> {
  const sizes: Record<string, number> = {};
  for (const [name, size] of Object.entries(wanted) as [TableName, number][])
    for (const map of tables[name].maps) {
      const pinned = pinnedSize(pinPaths(pinDirectory).map(map));
      if (pinned !== null && pinned !== size)
        throw new SluiceError(
          'CONFIG',
          `the table ${name} that is in force has room for ${pinned}, not ${size}`,
          {
            hint: 'its size stays until `sluice uninstall` (agents are ungoverned from then until the next start); or leave out --table',
          },
        );
      sizes[map] = size;
    }
  return sizes;
}

/** What a policy is told that does not fit: hashes answer E2BIG, tries ENOSPC. Null for any other error. */
export function fullTable(error: unknown): SluiceError | null {
  if (!['E2BIG', 'ENOSPC'].includes(errnoOf(error) ?? '')) return null;
  const message = messageOf(error);
  // The path of its pin stands in it.
  const map = message.match(/\bsluice_\w+/g)?.at(-1) ?? '';
  const what = map.startsWith('sluice_unix_') ? 'closed Unix sockets' : 'agents';
  return new SluiceError('POLICY', `the ${what} of the policy do not fit: ${message}`, {
    hint: mendOf(map),
    cause: error,
  });
}

/** The set in force and the next are in a table at once. */
function mendOf(map: string): string {
  const name = tableNames.find((each) => tables[each].maps.includes(map));
  if (name !== undefined)
    return `give the table room for the old set and the new one: \`sluice daemon --table ${name}=N\``;
  if (map.startsWith('sluice_unix_'))
    return 'name fewer under `unix_sockets: {deny: …}`, or fewer stars: each directory that a `*` stands for counts';
  return 'name fewer: the old set and the new one have to fit';
}

/** Of all tables that are pinned, by the names of maps: what takes their place has the same room. */
export function pinnedSizesByMap(pinDirectory: string): Record<string, number> {
  const names = tableNames.flatMap((name) => tables[name].maps);
  return Object.fromEntries(
    names.flatMap((name) => {
      const size = pinnedSize(pinPaths(pinDirectory).map(name));
      return size === null ? [] : [[name, size]];
    }),
  );
}

/** The size of each table that is pinned. */
export function pinnedSizes(pinDirectory: string): Record<TableName, number> {
  const sizes = tableNames.map((name) => [
    name,
    pinnedSize(pinPaths(pinDirectory).map(tables[name].maps[0])) ?? 0,
  ]);
  return Object.fromEntries(sizes) as Record<TableName, number>;
}

/** Of a per-CPU counter: the kernel gives eight bytes for each. */
export function sumOf(perCpu: Buffer | null): bigint {
  let sum = 0n;
  for (let at = 0; perCpu !== null && at < perCpu.length; at += 8) sum += perCpu.readBigUInt64LE(at);
  return sum;
}

/** Maps the plane opens by their pins. */
export type MapName =
  | 'sluice_config'
  | 'sluice_seq'
  | 'sluice_socks'
  | 'sluice_tuples'
  | 'sluice_datagrams'
  | 'sluice_paths'
  | 'sluice_glob_sets'
  | 'sluice_globs'
  | 'sluice_uids'
  | 'sluice_exes'
  | 'sluice_exe_places'
  | 'sluice_unix_files'
  | 'sluice_unix_places'
  | 'sluice_tags'
  | 'sluice_untagged'
  | 'sluice_netns'
  | 'sluice_exe_paths'
  | 'sluice_cgroup_paths'
  | 'sluice_inbound'
  | 'sluice_denied'
  | 'sluice_counters';
