/**
 * The cgroup v2 hierarchy: where it is mounted (on a hybrid host not at /sys/fs/cgroup), and Sluice's own
 * corner of it, `/sluice`, with the daemon, the canary and what `sluice run` starts.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { errnoOf, SluiceError } from '../core/errors.ts';

/** Cgroup paths Sluice makes, from the root of the hierarchy. */
export const sluiceCgroups = {
  root: '/sluice',
  daemon: '/sluice/daemon',
  run: '/sluice/run',
  canary: '/sluice/run/sluice-canary',
} as const;

/** Reverses the octal escapes of proc_pid_mountinfo(5). */
function unescapeMount(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/**
 * Mount point of the whole cgroup v2 hierarchy.
 *
 * @throws SluiceError NOT_SUPPORTED where there is none.
 */
export function findCgroup2(mountinfo: string = readFileSync('/proc/self/mountinfo', 'utf8')): string {
  for (const line of mountinfo.split('\n')) {
    // 36 35 98:0 /root /mount/point options [optional fields] - type source super-options
    const [before, after] = line.split(' - ');
    const fields = before?.split(' ');
    if (fields === undefined || after?.split(' ')[0] !== 'cgroup2') continue;
    // A bind mount of a part is no place to attach for the whole host.
    if (fields[3] === '/' && fields[4] !== undefined) return unescapeMount(fields[4]);
  }
  throw new SluiceError('NOT_SUPPORTED', 'no cgroup v2 hierarchy is mounted', {
    hint: 'boot with systemd.unified_cgroup_hierarchy=1, or mount one: mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified',
  });
}

/** Where systemd has the whole hierarchy when it uses version 2 for all of it. */
const UNIFIED = '/sys/fs/cgroup';
/** Exists where systemd is the first process: sd_booted(3). */
const SYSTEMD_RUNS = '/run/systemd/system';

/**
 * The mount point of cgroup v2, for who is to enforce there.
 *
 * A hybrid hierarchy is refused where systemd runs: services, container engines and who else starts processes may then
 * put them into cgroups of version 1 only, so that the path in version 2, which enrolment goes by, would not say where
 * a process belongs. Without systemd the cgroups of version 2 are those that somebody made by hand.
 *
 * @throws SluiceError NOT_SUPPORTED.
 */
export function requireCgroup2(mountinfo?: string, systemdRuns: boolean = existsSync(SYSTEMD_RUNS)): string {
  const path = findCgroup2(mountinfo);
  if (!systemdRuns || path === UNIFIED) return path;
  throw new SluiceError(
    'NOT_SUPPORTED',
    `systemd runs with cgroups of version 1: version 2 is only mounted beside them (hybrid), at ${path}`,
    { hint: 'boot with systemd.unified_cgroup_hierarchy=1' },
  );
}

/** Path of this process's own cgroup v2, from the root of the hierarchy. */
export function ownCgroup(text: string = readFileSync('/proc/self/cgroup', 'utf8')): string {
  return /^0::(.*)$/m.exec(text)?.[1] ?? '/';
}

/** The id the kernel knows a cgroup by: the inode number of its directory. */
export function cgroupId(directory: string): bigint {
  return statSync(directory, { bigint: true }).ino;
}

export function moveSelf(directory: string): void {
  mkdirSync(directory, { recursive: true });
  writeFileSync(`${directory}/cgroup.procs`, '0');
}

/** Removes a cgroup and the empty ones below it; whether it is gone. Those with processes stay. */
export function removeCgroup(directory: string): boolean {
  try {
    for (const entry of readdirSync(directory, { withFileTypes: true }))
      if (entry.isDirectory()) removeCgroup(`${directory}/${entry.name}`);
    rmdirSync(directory);
    return true;
  } catch (error) {
    return errnoOf(error) === 'ENOENT';
  }
}
