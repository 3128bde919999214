/**
 * Turns enrolment rules into the entries of the kernel's tables. Pure: what it returns is written by plane.ts.
 *
 * Cgroup paths become a trie, one entry per component, because the kernel program walks a path from the root;
 * the deepest component that carries an agent decides.
 */
import { SluiceError } from '../core/errors.ts';
import { CGROUP_DEPTH_MAX, CGROUP_NAME_MAX } from './layout.ts';

export interface CgroupRule {
  readonly path: string;
  readonly agentId: number;
}

export interface EnrolmentTables {
  readonly cgroups: readonly CgroupRule[];
  readonly uids: readonly { readonly uid: number; readonly agentId: number }[];
  readonly exes: readonly { readonly inode: bigint; readonly dev: number; readonly agentId: number }[];
  /** 16-byte addresses, v4-mapped for IPv4, that agents may ask by UDP. */
  readonly resolvers: readonly Buffer[];
}

export interface TrieEntry {
  readonly parent: number;
  readonly name: string;
  readonly node: number;
  readonly agentId: number;
}

/** @throws SluiceError CONFIG for a path the kernel's walk could not follow. */
export function buildTrie(rules: readonly CgroupRule[]): TrieEntry[] {
  const entries = new Map<string, { parent: number; name: string; node: number; agentId: number }>();
  let nodes = 0;
  for (const rule of rules) {
    const names = rule.path.split('/').filter((name) => name !== '');
    const unusable = names.some(
      (name) => name === '.' || name === '..' || Buffer.byteLength(name) > CGROUP_NAME_MAX,
    );
    if (names.length === 0 || names.length > CGROUP_DEPTH_MAX || unusable)
      throw new SluiceError('CONFIG', `cgroup path ${rule.path} cannot be enrolled`, {
        hint: `give an absolute path below the root, at most ${CGROUP_DEPTH_MAX} deep`,
      });
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
