/**
 * Checks agents: that each way of enrolling can exist, and that none is claimed twice. A process that two agents
 * claim alike would be one of them by chance, and the flow log would name the wrong one.
 */
import { sluiceCgroups } from '../../kernel/cgroup.ts';
import { CGROUP_DEPTH_MAX, CGROUP_NAME_MAX } from '../../kernel/layout.ts';
import { agentId } from '../agent-id.ts';
import {
  fitsComponent,
  isPattern,
  isPlainPath,
  isSliceName,
  isUnitName,
  withoutStar,
} from '../cgroup-path.ts';
import { enrolmentOf } from '../compile-agent.ts';
import type { MatchEntry } from '../document.ts';
import type { Enrolment } from '../types.ts';
import { compareUids, parseUids, type UidRange, uidsText } from '../uids.ts';
import { type Cursor, checkUniqueNames } from './cursor.ts';

interface Claim {
  readonly agent: string;
  readonly line: number;
}

/** What has been claimed so far: by its text, and user ids by their range as well. */
interface Claims {
  readonly byKey: Map<string, Claim>;
  readonly uids: { readonly range: UidRange; readonly claim: Claim }[];
}

export function checkAgents(agents: Cursor): void {
  checkUniqueNames(agents, 'agent');
  checkReserved(agents);
  checkIds(agents);
  const claims: Claims = { byKey: new Map(), uids: [] };
  for (const agent of agents.items()) {
    for (const match of agent.get('match').items()) {
      checkMatch(match);
      if (match.clean) checkClaim(match, agent.get('name').text ?? '?', claims);
    }
  }
}

/** Sluice has agents of its own, such as the one its self-test runs as. */
function checkReserved(agents: Cursor): void {
  for (const agent of agents.items()) {
    const name = agent.get('name');
    if (name.text?.startsWith('sluice-'))
      name.error('names that begin with "sluice-" are reserved', 'choose another');
  }
}

/** 32 bits are few enough that two of some thousand names could meet; the kernel would take them for one agent. */
function checkIds(agents: Cursor): void {
  const names = new Map<number, string>();
  for (const agent of agents.items()) {
    const name = agent.get('name');
    if (name.text === null) continue;
    const id = agentId(name.text);
    const other = names.get(id);
    if (other !== undefined && other !== name.text) {
      name.error(`has the same id as the agent "${other}"`, 'ids follow from names: rename one of the two');
    }
    names.set(id, name.text);
  }
}

function checkMatch(match: Cursor): void {
  checkUnit(match.get('unit'));
  checkSlice(match);
  checkCgroup(match.get('cgroup'));
  const exe = match.get('exe');
  checkExe(exe.get('path').present ? exe.get('path') : exe);
  checkUids(match.get('uid'));
  checkDepth(match);
}

function checkUids(uid: Cursor): void {
  if (!uid.present || !uid.clean || (typeof uid.value !== 'number' && typeof uid.value !== 'string')) return;
  const range = parseUids(uid.value);
  if (range === null) uid.error(`"${uid.value}" is no user id`, 'a number, or a range: "1000-1999"');
  else if (range[0] === 0) uid.warn('uid 0 makes every process of root on this host an agent', null);
}

const ONE_STAR =
  'one star in each component of a path: what is between two of them would have to be searched for';

function hasManyStars(text: string): boolean {
  return text.includes('*') && !isPattern(text);
}

function checkUnit(unit: Cursor): void {
  const { text } = unit;
  if (text === null) return;
  const plain = withoutStar(text);
  if (hasManyStars(text)) {
    unit.error(`"${text}" has more than one star`, ONE_STAR);
  } else if (text.endsWith('.slice') ? !isSliceName(plain) : !isUnitName(plain)) {
    unit.error(`"${text}" is not the name of a unit`, unitHint(text));
  } else if (text === '-.slice') {
    unit.error('the root slice holds every process of the host', 'name the slice or unit that is meant');
  }
}

function unitHint(text: string): string {
  if (text.includes('@.'))
    return 'a template runs only as its instances: name@instance.service, or name@*.service for all of them';
  if (!text.includes('.') && isUnitName(`${text}.service`)) return `did you mean "${text}.service"?`;
  return 'units end in .service, .scope, .slice, .socket, .mount or .swap';
}

function checkSlice(match: Cursor): void {
  const slice = match.get('slice');
  const { text } = slice;
  if (text === null) return;
  if (hasManyStars(text)) {
    slice.error(`"${text}" has more than one star`, ONE_STAR);
  } else if (!isSliceName(withoutStar(text))) {
    slice.error(`"${text}" is not the name of a slice`, 'slices end in .slice; a dash nests them');
  } else if (match.get('unit').text?.endsWith('.slice')) {
    slice.error('a slice is placed by its own name', 'leave `slice` out');
  } else if (text === '-.slice' && !match.get('unit').present) {
    slice.error('the root slice holds every process of the host', 'name the slice or unit that is meant');
  }
}

function checkCgroup(path: Cursor): void {
  const { text } = path;
  if (text === null) return;
  const top = text.split('/')[1] ?? '';
  if (text === '/' || text === '/*') {
    path.error(
      `${text === '/' ? 'the root cgroup holds' : 'the cgroups below the root hold'} every process of the host`,
      'name the cgroup that is meant',
    );
  } else if (hasManyStars(text)) {
    path.error(`"${text}" has more than one star in a component`, ONE_STAR);
  } else if (fitsComponent(top, sluiceCgroups.root.slice(1))) {
    path.error(
      "this part of the tree is Sluice's own",
      'what `sluice run --as NAME` starts is matched by `run: NAME`',
    );
  } else if (!isPlainPath(text)) {
    const hint = 'a path from the root of the cgroup v2 hierarchy: /system.slice/billing.service';
    path.error(`"${text}" is not the path of a cgroup`, hint);
  }
}

/** The kernel walks so many components of so many bytes; a path beyond that would never be met. */
function checkDepth(match: Cursor): void {
  if (!match.clean) return;
  const enrolment = enrolmentOf(match.value as MatchEntry);
  if (enrolment.kind !== 'cgroup') return;
  const names = enrolment.path.split('/').slice(1);
  if (names.length > CGROUP_DEPTH_MAX)
    match.error(
      `the cgroup is ${names.length} levels deep`,
      `enrol one at most ${CGROUP_DEPTH_MAX} levels deep`,
    );
  if (names.some((name) => Buffer.byteLength(name) > CGROUP_NAME_MAX))
    match.error(`a name in the path is longer than ${CGROUP_NAME_MAX} bytes`, 'no directory can have it');
}

function checkExe(path: Cursor): void {
  if (path.text === null || isPlainPath(path.text)) return;
  const hint = 'an absolute path without . and ..: /usr/bin/python3';
  path.error(`"${path.text}" is not the path of an executable`, hint);
}

function checkClaim(match: Cursor, agent: string, claims: Claims): void {
  const enrolment = enrolmentOf(match.value as MatchEntry);
  const key = `${enrolment.kind} ${textOf(enrolment)}`;
  const earlier = claims.byKey.get(key);
  const claim = { agent, line: match.report.lineOf(match.pointer) };
  if (earlier?.agent === agent) match.error(`${key} is listed twice`, `first on line ${earlier.line}`);
  else if (earlier !== undefined) {
    const hint = `claimed on line ${earlier.line}; a deeper cgroup may belong to another agent, the same one may not`;
    match.error(`${key} belongs to the agent "${earlier.agent}" already`, hint);
  } else {
    claims.byKey.set(key, claim);
    if (enrolment.kind === 'uid') checkRange(match, [enrolment.first, enrolment.last], claim, claims);
  }
}

/** Of ranges in each other the narrower decides; of others that meet nobody could say which does. */
function checkRange(match: Cursor, range: UidRange, claim: Claim, claims: Claims): void {
  const other = claims.uids.find((earlier) => compareUids(earlier.range, range) === 'overlapping');
  if (other !== undefined)
    match.error(
      `uid ${uidsText(range)} overlaps with ${uidsText(other.range)} of the agent "${other.claim.agent}"`,
      `on line ${other.claim.line}; a range may lie wholly in another one, where the narrower decides`,
    );
  claims.uids.push({ range, claim });
}

function textOf(enrolment: Enrolment): string {
  return enrolment.kind === 'uid' ? uidsText([enrolment.first, enrolment.last]) : enrolment.path;
}
