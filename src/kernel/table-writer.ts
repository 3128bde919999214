/** Writes a generation of enrolment entries into the kernel's tables, and takes others out. */
import type { NativeMap } from './addon.ts';
import { buildGlobs, buildTrie, buildUidPrefixes, type EnrolmentTables } from './enrolment.ts';
import { encodeInbound, encodeInboundKey } from './inbound.ts';
import {
  encodeExeKey,
  encodeExePlace,
  encodeGlobKey,
  encodeGlobSet,
  encodeGlobs,
  encodePathKey,
  encodePathNode,
  encodeU32,
  encodeUidKey,
  generationOf,
} from './layout.ts';
import type { MapName } from './tables.ts';

type MapOf = (name: MapName) => NativeMap;

export function writeTables(map: MapOf, generation: number, tables: EnrolmentTables): void {
  for (const entry of buildTrie(tables.cgroups))
    map('sluice_paths').update(
      encodePathKey(generation, entry.parent, entry.name),
      encodePathNode(entry.node, entry.agentId),
    );
  writeGlobs(map, generation, tables);
  for (const { uid, bits, agentId } of buildUidPrefixes(tables.uids))
    map('sluice_uids').update(encodeUidKey(generation, uid, bits), encodeU32(agentId));
  for (const { inode, dev, agentId } of tables.exes)
    map('sluice_exes').update(encodeExeKey(inode, dev, generation), encodeU32(agentId));
  for (const { directoryInode, dev, name } of tables.places)
    map('sluice_exe_places').update(encodeExePlace(directoryInode, dev, generation, name), encodeU32(1));
  for (const { inode, dev, id } of tables.closedSockets.files)
    map('sluice_unix_files').update(encodeExeKey(inode, dev, generation), encodeU32(id));
  for (const { directoryInode, dev, name, id } of tables.closedSockets.places)
    map('sluice_unix_places').update(encodeExePlace(directoryInode, dev, generation, name), encodeU32(id));
  for (const { agentId, ranges } of tables.inbound)
    map('sluice_inbound').update(encodeInboundKey(generation, agentId), encodeInbound(ranges));
}

function writeGlobs(map: MapOf, generation: number, tables: EnrolmentTables): void {
  const { shapes, agents, sets } = buildGlobs(tables.cgroups);
  if (agents.length === 0) return;
  for (const { level, component, fits, ends } of sets)
    map('sluice_glob_sets').update(encodeGlobKey(generation, level, component), encodeGlobSet(fits, ends));
  map('sluice_globs').update(encodeU32(generation), encodeGlobs(shapes, agents));
}

const GENERATIONS = [
  ['sluice_paths', generationOf.path],
  ['sluice_glob_sets', generationOf.globSet],
  ['sluice_globs', generationOf.glob],
  ['sluice_uids', generationOf.uid],
  ['sluice_exes', generationOf.exe],
  ['sluice_exe_places', generationOf.place],
  ['sluice_unix_files', generationOf.exe],
  ['sluice_unix_places', generationOf.place],
  ['sluice_inbound', generationOf.inbound],
] as const;

/** Takes out all entries of generations that are unwanted. */
export function sweepTables(map: MapOf, unwanted: (generation: number) => boolean): void {
  for (const [name, of] of GENERATIONS)
    for (const key of map(name).keys()) if (unwanted(of(key))) map(name).delete(key);
}
