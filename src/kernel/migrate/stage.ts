/**
 * How far the change from one ABI to another has come, as the pins say, and how it is left behind in good order by
 * whoever finds it: it may have been cut short anywhere.
 *
 * Beside `links` and `maps` there are then `links_next` and `maps_next`. Until the generation in `maps_next` is written
 * nothing in there decides anything, and it may be thrown away by any version. From then on it is what is in force, and
 * there is no way but forward. At the end `maps` becomes `maps_former` for a moment.
 */
import { existsSync, linkSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { SluiceError } from '../../core/errors.ts';
import { addon } from '../addon.ts';
import { encodeU32, SLUICE_ABI } from '../layout.ts';
import { lsmPrograms, pinPaths, programTypes, removeDirectory, stagePaths } from '../pins.ts';

/** Pins of what is needed only on the way: the arrays of the programs before, and the plans. */
export const FORMER_PROGRAM = 'sluice_former_';
const PLANS = 'sluice_plans';
/** Programs that stand in for those before. */
export const VIA = 'sluice_via_';

/**
 * `same`: what is pinned is of this ABI, or nothing is. `begin`: it is of an older one. `resume`: another daemon of this
 * version had begun, and its programs decide already.
 */
export type Stage = 'same' | 'begin' | 'resume';

export interface Pinned {
  readonly abi: number;
  /** 0: nothing is in force by it. */
  readonly generation: number;
}

/** Of the configuration in a directory of maps, whatever ABI it has; null when there is none. */
export function pinnedConfig(maps: string): Pinned | null {
  const pin = `${maps}/sluice_config`;
  if (!existsSync(pin)) return null;
  const fields = addon().mapShape(pin).value?.fields ?? [];
  const map = new (addon().BpfMap)(pin);
  const bytes = map.lookup(encodeU32(0));
  map.close();
  const read = (name: string): number => {
    const field = fields.find((one) => one.name === name);
    return field === undefined || bytes === null ? 0 : bytes.readUIntLE(field.offset, field.size);
  };
  return { abi: read('abi'), generation: read('generation') };
}

/**
 * Clears away what an attempt has left that came to nothing, ends one that was all but done, and says what is to do.
 *
 * @throws SluiceError ABI_MISMATCH when what is in force is not for this version to take over.
 */
export function settleStage(directory: string): Stage {
  const { maps } = pinPaths(directory);
  const next = stagePaths(directory);
  if (existsSync(next.former)) finish(directory);
  const begun = existsSync(next.maps) ? (pinnedConfig(next.maps) ?? { abi: 0, generation: 0 }) : null;
  if (begun !== null && begun.generation !== 0) {
    refuseNewer(begun.abi);
    if (begun.abi < SLUICE_ABI)
      throw new SluiceError(
        'ABI_MISMATCH',
        `the change to ABI ${begun.abi} was cut short; this version has ${SLUICE_ABI}`,
        { hint: 'start the version with that ABI once more, which ends it, and then this one' },
      );
    return 'resume';
  }
  if (begun !== null || existsSync(next.links)) undo(directory);
  const inForce = pinnedConfig(maps);
  if (inForce === null || inForce.abi === 0 || inForce.abi === SLUICE_ABI) return 'same';
  refuseNewer(inForce.abi);
  return 'begin';
}

function refuseNewer(abi: number): void {
  if (abi > SLUICE_ABI)
    throw new SluiceError(
      'ABI_MISMATCH',
      `a newer version of Sluice is in force: ABI ${abi}, not ${SLUICE_ABI}`,
      {
        hint: 'start that version again; to go back to this one, run `sluice uninstall` of that (agents are ungoverned until this one has started)',
      },
    );
}

/** Makes the directories, and brings along what both share: ids of flows must never repeat. */
export function openStage(directory: string): void {
  const next = stagePaths(directory);
  for (const path of [next.links, next.maps]) mkdirSync(path, { recursive: true, mode: 0o700 });
  const seq = `${next.maps}/sluice_seq`;
  if (!existsSync(seq)) linkSync(pinPaths(directory).map('sluice_seq'), seq);
}

/** Back to what was in force, which has decided all the while. */
export function undo(directory: string): void {
  const next = stagePaths(directory);
  const { link } = pinPaths(directory);
  for (const name of existsSync(next.maps) ? readdirSync(next.maps) : []) {
    if (!name.startsWith(FORMER_PROGRAM)) continue;
    const pin = link(`sluice_${name.slice(FORMER_PROGRAM.length)}`);
    if (existsSync(pin)) addon().restoreFormer(`${next.maps}/${name}`, pin);
  }
  removeDirectory(next.links);
  removeDirectory(next.maps);
}

/** The new links take the names of the old, which end with that; links of programs that are no more go. */
export function takeLinks(directory: string): void {
  const { links, link } = pinPaths(directory);
  const next = stagePaths(directory);
  for (const name of readdirSync(next.links))
    if (!name.startsWith(VIA)) renameSync(`${next.links}/${name}`, link(name));
  removeDirectory(next.links);
  for (const name of readdirSync(links))
    if (!Object.hasOwn(programTypes, name) && !Object.hasOwn(lsmPrograms, name)) rmSync(link(name));
}

/** The new maps take the place of the old. */
export function takeMaps(directory: string): void {
  renameSync(pinPaths(directory).maps, stagePaths(directory).former);
  finish(directory);
}

function finish(directory: string): void {
  const { maps } = pinPaths(directory);
  const next = stagePaths(directory);
  if (!existsSync(maps)) renameSync(next.maps, maps);
  for (const name of readdirSync(maps))
    if (name.startsWith(FORMER_PROGRAM) || name === PLANS) rmSync(`${maps}/${name}`);
  removeDirectory(next.former);
}
