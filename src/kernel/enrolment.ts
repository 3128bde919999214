/**
 * Turns enrolment rules into the entries of the kernel's tables. Pure: what it returns is written by plane.ts.
 *
 * Cgroup paths become a trie, one entry per component, because the kernel program walks a path from the root;
 * the deepest component that carries an agent decides. Paths with stars are numbered, and each of their components
 * becomes an entry that says which of them it fits. Ranges of user ids become prefixes.
 */
import { SluiceError } from '../core/errors.ts';
import type { InboundRange } from './inbound.ts';
import { CGROUP_DEPTH_MAX, CGROUP_NAME_MAX, GLOB_MAX, GLOB_SHAPES_MAX, type GlobShape } from './layout.ts';

export interface CgroupRule {
  /** Each component may have one `*`, which stands for any text, also for none. */
  readonly path: string;
  readonly agentId: number;
}

export interface UidRule {
  /** Inclusive. Ranges may lie in each other, and then the narrower one decides; they may not overlap otherwise. */
  readonly first: number;
  readonly last: number;
  readonly agentId: number;
}

/** Unix sockets agents may not connect to. `id` is of the path policy names, and comes back in events. */
export interface ClosedSockets {
  readonly files: readonly { readonly inode: bigint; readonly dev: number; readonly id: number }[];
  /** Where they lie: another that is made there is closed before anybody has looked at it. */
  readonly places: readonly {
    readonly directoryInode: bigint;
    readonly dev: number;
    readonly name: string;
    readonly id: number;
  }[];
}

export interface EnrolmentTables {
  /** Of patterns that fit alike, the first decides. */
  readonly cgroups: readonly CgroupRule[];
  readonly uids: readonly UidRule[];
  readonly exes: readonly { readonly inode: bigint; readonly dev: number; readonly agentId: number }[];
  /** Where executables lie: what is executed there and is none of `exes` is governed, as unknown. */
  readonly places: readonly {
    readonly directoryInode: bigint;
    readonly dev: number;
    readonly name: string;
  }[];
  readonly closedSockets: ClosedSockets;
  /** Whether what agents send to port 53 goes to the forwarder; else it is like any other port. */
  readonly dns: boolean;
  /** Whom each agent may serve; one that is not here may serve nobody. */
  readonly inbound: readonly { readonly agentId: number; readonly ranges: readonly InboundRange[] }[];
}

export interface TrieEntry {
  readonly parent: number;
  readonly name: string;
  readonly node: number;
  readonly agentId: number;
}

/** Whether a path is a pattern. */
export function isPattern(path: string): boolean {
  return path.includes('*');
}

/** Components of a path. @throws SluiceError CONFIG for one the kernel's walk could not follow. */
function componentsOf(path: string): string[] {
  const names = path.split('/').filter((name) => name !== '');
  const unusable = names.some(
    (name) =>
      name === '.' ||
      name === '..' ||
      Buffer.byteLength(name) > CGROUP_NAME_MAX ||
      name.split('*').length > 2,
  );
  if (names.length === 0 || names.length > CGROUP_DEPTH_MAX || unusable)
    throw new SluiceError('CONFIG', `cgroup path ${path} cannot be enrolled`, {
      hint: `give an absolute path below the root, at most ${CGROUP_DEPTH_MAX} deep, with one star in a component`,
    });
  return names;
}

/** Of the rules without stars. @throws SluiceError CONFIG for a path the kernel's walk could not follow. */
export function buildTrie(rules: readonly CgroupRule[]): TrieEntry[] {
  const entries = new Map<string, { parent: number; name: string; node: number; agentId: number }>();
  let nodes = 0;
  for (const rule of rules) {
    if (isPattern(rule.path)) continue;
    const names = componentsOf(rule.path);
    let parent = 0;
    for (const [index, name] of names.entries()) {
      const key = `${parent}/${name}`;
      let entry = entries.get(key);
      if (entry === undefined) {
        nodes += 1;
        entry = { parent, name, node: nodes, agentId: 0 };
        entries.set(key, entry);
      }
      if (index === names.length - 1) entry.agentId = rule.agentId;
      parent = entry.node;
    }
  }
  return [...entries.values()];
}

export interface GlobTables {
  readonly shapes: readonly GlobShape[];
  /** Agent of each pattern. */
  readonly agents: readonly number[];
  /** A bit for each pattern: those with this component at this level, and those that end with it. */
  readonly sets: readonly {
    readonly level: number;
    readonly component: string;
    readonly fits: bigint;
    readonly ends: bigint;
  }[];
}

/** Of the rules with stars. @throws SluiceError CONFIG for more than the kernel's tables hold. */
export function buildGlobs(rules: readonly CgroupRule[]): GlobTables {
  const shapes = new Map<string, GlobShape>();
  const sets = new Map<string, { level: number; component: string; fits: bigint; ends: bigint }>();
  const patterns = rules.filter(({ path }) => isPattern(path));
  for (const [number, { path }] of patterns.entries()) {
    const names = componentsOf(path);
    const bit = 1n << BigInt(number);
    for (const [index, component] of names.entries()) {
      const [before = '', behind] = component.split('*');
      if (behind !== undefined) {
        const shape = { before: Buffer.byteLength(before), behind: Buffer.byteLength(behind) };
        shapes.set(`${shape.before} ${shape.behind}`, shape);
      }
      const key = `${index}/${component}`;
      const set = sets.get(key) ?? { level: index + 1, component, fits: 0n, ends: 0n };
      set.fits |= bit;
      if (index === names.length - 1) set.ends |= bit;
      sets.set(key, set);
    }
  }
  if (patterns.length > GLOB_MAX || shapes.size > GLOB_SHAPES_MAX)
    throw new SluiceError('CONFIG', 'there are more cgroup patterns than the kernel can follow', {
      hint: `at most ${GLOB_MAX} paths with a star, with ${GLOB_SHAPES_MAX} different lengths before and behind it`,
    });
  return {
    shapes: [...shapes.values()],
    agents: patterns.map(({ agentId }) => agentId),
    sets: [...sets.values()],
  };
}

export interface UidPrefix {
  readonly uid: number;
  /** How many of its 32 bits count. */
  readonly bits: number;
  readonly agentId: number;
}

/** The ranges as prefixes, at most 62 for each; of the same prefix, that of the narrower range. */
export function buildUidPrefixes(rules: readonly UidRule[]): UidPrefix[] {
  const prefixes = new Map<string, UidPrefix>();
  const widestFirst = [...rules].sort((a, b) => b.last - b.first - (a.last - a.first));
  for (const { first, last, agentId } of widestFirst)
    for (let uid = first; uid <= last; ) {
      // The largest block that begins here and does not reach beyond the end.
      let bits = 32;
      while (bits > 0 && uid % 2 ** (33 - bits) === 0 && uid + 2 ** (33 - bits) - 1 <= last) bits -= 1;
      prefixes.set(`${uid}/${bits}`, { uid, bits, agentId });
      uid += 2 ** (32 - bits);
    }
  return [...prefixes.values()];
}
