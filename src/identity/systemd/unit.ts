/**
 * Reads systemd's unit, slice and instance out of a cgroup path.
 *
 * systemd names cgroups after units: slices nest, then comes the unit, and what is below the unit is the unit's own
 * business (`Delegate=`). So only the first name that is not a slice is the unit: a service or user that makes a directory
 * `billing.service` in its own part of the tree gains nothing. The one place where units continue is a user's
 * service manager, `user@UID.service`; what it says is that user's word and is kept apart as such.
 * (systemd.unit(5), systemd.slice(5), CGROUP_DELEGATION.md of systemd)
 */

/** Unit types that have a cgroup of their own, slices apart. */
const UNIT = /^[A-Za-z0-9:_.\\@-]{1,242}\.(?:service|scope|socket|mount|swap)$/;
const SLICE = /^[A-Za-z0-9:_.\\-]{1,249}\.slice$/;
const USER_MANAGER = /^user@(\d{1,10})\.service$/;
/** The slice everything is in that is in no other. */
const ROOT_SLICE = '-.slice';

export interface UnitPlace {
  /** Name as systemd prints it, escapes and all; null for a process right in a slice. */
  readonly unit: string | null;
  readonly slice: string;
}

export interface SystemdPlace extends UnitPlace {
  /** Set for processes of a user's own service manager. */
  readonly user: (UnitPlace & { readonly uid: number }) | null;
}

/** systemd puts `_` before names that would collide with the kernel's own files. */
function unescapeSegment(segment: string): string {
  return segment.startsWith('_') ? segment.slice(1) : segment;
}

/** Slices, then perhaps a unit; how many segments that took. Null if there is neither. */
function readPlace(segments: readonly string[]): { place: UnitPlace; length: number } | null {
  let length = 0;
  let slice = ROOT_SLICE;
  for (; length < segments.length; length++) {
    const name = unescapeSegment(segments[length] ?? '');
    if (!SLICE.test(name)) break;
    slice = name;
  }
  const name = unescapeSegment(segments[length] ?? '');
  if (UNIT.test(name)) return { place: { unit: name, slice }, length: length + 1 };
  return length === 0 ? null : { place: { unit: null, slice }, length };
}

/** Where systemd put the cgroup `path` (below the cgroup v2 mount); null if systemd did not make it. */
export function parseSystemdPlace(path: string): SystemdPlace | null {
  const segments = path.split('/').filter((segment) => segment !== '');
  const outer = readPlace(segments);
  if (outer === null) return null;
  const uid = USER_MANAGER.exec(outer.place.unit ?? '')?.[1];
  const inner = uid === undefined ? null : readPlace(segments.slice(outer.length));
  const user = uid === undefined || inner === null ? null : { ...inner.place, uid: Number(uid) };
  return { ...outer.place, user };
}

/** `getty@tty1.service` → template `getty@.service`, instance `tty1` (unescaped); null if it is no instance. */
export function splitInstance(unit: string): { readonly template: string; readonly instance: string } | null {
  const at = unit.indexOf('@');
  const dot = unit.lastIndexOf('.');
  if (at <= 0 || dot <= at + 1) return null;
  return {
    template: `${unit.slice(0, at + 1)}${unit.slice(dot)}`,
    instance: unescapeName(unit.slice(at + 1, dot)),
  };
}

/** Undoes systemd-escape(1): `-` is `/`, `\xHH` a byte. */
export function unescapeName(text: string): string {
  const bytes = text
    .replaceAll('-', '/')
    .replaceAll(/\\x([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString();
}

/** The unit as flow records show it; a user's unit is shown below its manager, where no system unit can be. */
export function unitText(place: SystemdPlace): string | null {
  if (place.unit === null || place.user?.unit == null) return place.unit;
  return `${place.unit}/${place.user.unit}`;
}
