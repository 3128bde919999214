/**
 * Checks agents: that each way of enrolling can exist, and that none is claimed twice. A process that two agents
 * claim alike would be one of them by chance, and the flow log would name the wrong one.
 */
import { sluiceCgroups } from '../../kernel/cgroup.ts';
import { CGROUP_DEPTH_MAX, CGROUP_NAME_MAX } from '../../kernel/layout.ts';
import { agentId } from '../agent-id.ts';
import { isPlainPath, isSliceName, isUnitName } from '../cgroup-path.ts';
import { enrolmentOf } from '../compile-agent.ts';
import type { MatchEntry } from '../document.ts';
import { type Cursor, checkUniqueNames } from './cursor.ts';

interface Claim {
  readonly agent: string;
  readonly line: number;
}

export function checkAgents(agents: Cursor): void {
  checkUniqueNames(agents, 'agent');
  checkReserved(agents);
  checkIds(agents);
  const claims = new Map<string, Claim>();
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
  checkExe(match.get('exe'));
  checkDepth(match);
  if (match.get('uid').value === 0) {
    match.get('uid').warn('uid 0 makes every process of root on this host an agent', null);
  }
}

function checkUnit(unit: Cursor): void {
  const { text } = unit;
  if (text === null) return;
  if (text.endsWith('.slice') ? !isSliceName(text) : !isUnitName(text)) {
    unit.error(`"${text}" is not the name of a unit`, unitHint(text));
  } else if (text === '-.slice') {
    unit.error('the root slice holds every process of the host', 'name the slice or unit that is meant');
  }
}

function unitHint(text: string): string {
  if (text.includes('@.')) return 'a template runs only as its instances: name@instance.service';
  if (!text.includes('.') && isUnitName(`${text}.service`)) return `did you mean "${text}.service"?`;
  return 'units end in .service, .scope, .slice, .socket, .mount or .swap';
}

function checkSlice(match: Cursor): void {
  const slice = match.get('slice');
  if (slice.text === null) return;
  if (!isSliceName(slice.text)) {
    slice.error(`"${slice.text}" is not the name of a slice`, 'slices end in .slice; a dash nests them');
  } else if (match.get('unit').text?.endsWith('.slice')) {
    slice.error('a slice is placed by its own name', 'leave `slice` out');
  }
}

function checkCgroup(path: Cursor): void {
  if (path.text === null) return;
  if (path.text === '/') {
    path.error('the root cgroup holds every process of the host', 'name the cgroup that is meant');
  } else if (`${path.text}/`.startsWith(`${sluiceCgroups.root}/`)) {
    path.error(
      "this part of the tree is Sluice's own",
      'what `sluice run --as NAME` starts is matched by `run: NAME`',
    );
  } else if (!isPlainPath(path.text)) {
    const hint = 'a path from the root of the cgroup v2 hierarchy: /system.slice/billing.service';
    path.error(`"${path.text}" is not the path of a cgroup`, hint);
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

function checkClaim(match: Cursor, agent: string, claims: Map<string, Claim>): void {
  const enrolment = enrolmentOf(match.value as MatchEntry);
  const key = `${enrolment.kind} ${enrolment.kind === 'uid' ? enrolment.uid : enrolment.path}`;
  const earlier = claims.get(key);
  const line = match.report.lineOf(match.pointer);
  if (earlier === undefined) claims.set(key, { agent, line });
  else if (earlier.agent === agent) match.error(`${key} is listed twice`, `first on line ${earlier.line}`);
  else {
    const hint = `claimed on line ${earlier.line}; a deeper cgroup may belong to another agent, the same one may not`;
    match.error(`${key} belongs to the agent "${earlier.agent}" already`, hint);
  }
}
