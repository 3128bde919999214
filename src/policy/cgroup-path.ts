/**
 * Where systemd puts a unit in the cgroup v2 tree, worked out from names alone so that a policy can be checked
 * on a machine that does not run the unit, and enrolment is in place before the unit first starts.
 *
 * Sources: systemd.slice(5) on nesting, systemd.resource-control(5) `Slice=` on defaults, and systemd's
 * `unit_name_escape()` and `cg_escape()` for the two kinds of escaping.
 */
import { sluiceCgroups } from '../kernel/cgroup.ts';

/** Where `sluice run --as NAME` puts its commands. */
export function runCgroupPath(name: string): string {
  return `${sluiceCgroups.run}/${name}`;
}

/** Unit types that own a cgroup with processes in it. */
const UNIT = /^[A-Za-z0-9:_.\\-]+(?:@[A-Za-z0-9:_.\\@-]*)?\.(?:service|scope|slice|socket|mount|swap)$/;
/** systemd's own limit (UNIT_NAME_MAX), and the most a directory name may have. */
const UNIT_NAME_MAX_LENGTH = 255;

/** A template (`foo@.service`) is no unit: only its instances run. */
export function isUnitName(text: string): boolean {
  return UNIT.test(text) && text.length <= UNIT_NAME_MAX_LENGTH && !text.includes('@.');
}

/**
 * Whether a name or path is written as a pattern: with stars, one in each component at most, for which the kernel
 * can look a component up instead of searching it.
 */
export function isPattern(text: string): boolean {
  return text.includes('*') && text.split('/').every((part) => part.split('*').length <= 2);
}

/** The name with something in place of its star, to be checked as one that is meant literally. */
export function withoutStar(text: string): string {
  return text.replace('*', 'x');
}

/** Whether one component of a path fits one of a pattern. */
export function fitsComponent(pattern: string, name: string): boolean {
  const [before = '', behind] = pattern.split('*');
  if (behind === undefined) return pattern === name;
  return name.length >= before.length + behind.length && name.startsWith(before) && name.endsWith(behind);
}

/** `a-b.slice`; no empty part between the dashes. `-.slice` is the root. */
export function isSliceName(text: string): boolean {
  if (text === '-.slice') return true;
  if (!text.endsWith('.slice') || !isUnitName(text) || text.includes('@')) return false;
  return text
    .slice(0, -'.slice'.length)
    .split('-')
    .every((part) => part !== '');
}

/**
 * Path of a unit below the root of the cgroup v2 hierarchy. `slice` is the unit's `Slice=`; without it
 * the system manager's default holds: `system.slice`, or `system-NAME.slice` for an instance `NAME@x.service`.
 */
export function unitCgroupPath(unit: string, slice: string | null): string {
  if (unit.endsWith('.slice')) return slicePath(unit) || '/';
  return `${slicePath(slice ?? defaultSlice(unit))}/${escapeCgroupName(unit)}`;
}

function defaultSlice(unit: string): string {
  const at = unit.indexOf('@');
  return at < 0 ? 'system.slice' : `system-${escapeUnitPrefix(unit.slice(0, at))}.slice`;
}

function slicePath(slice: string): string {
  if (slice === '-.slice') return '';
  const parts = slice.slice(0, -'.slice'.length).split('-');
  return parts.map((_, i) => `/${escapeCgroupName(`${parts.slice(0, i + 1).join('-')}.slice`)}`).join('');
}

/** A dash in the template's name would nest slices, so systemd escapes it once more (`\x2d`). */
function escapeUnitPrefix(prefix: string): string {
  const escaped = prefix.replace(/[-\\]/g, (char) => `\\x${char.charCodeAt(0).toString(16)}`);
  return escaped.startsWith('.') ? `\\x2e${escaped.slice(1)}` : escaped;
}

/** Names the kernel uses for its own files in a cgroup directory get an underscore before them. */
const KERNEL_FILE = /^(?:cgroup|cpu|cpuacct|cpuset|io|blkio|memory|devices|pids|hugetlb|rdma|misc|dmem)\./;

function escapeCgroupName(name: string): string {
  return /^[_.]/.test(name) || KERNEL_FILE.test(name) ? `_${name}` : name;
}

/** An absolute path written in one way only: no empty, `.` or `..` part, no slash at the end, not the root. */
export function isPlainPath(text: string): boolean {
  if (!text.startsWith('/') || text.includes('\0')) return false;
  return text
    .slice(1)
    .split('/')
    .every((part) => part !== '' && part !== '.' && part !== '..');
}
