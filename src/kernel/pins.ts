/**
 * What is pinned: the state that outlives the daemon. Works without a daemon, for `sluice status` and
 * `sluice uninstall`.
 */
import { existsSync, mkdirSync, readdirSync, rmdirSync, rmSync, statfsSync } from 'node:fs';
import { SluiceError } from '../core/errors.ts';
import { addon } from './addon.ts';
import { findCgroup2 } from './cgroup.ts';

export const DEFAULT_PIN_DIRECTORY = '/sys/fs/bpf/sluice';

/** statfs(2) type of bpffs, linux/magic.h. */
const BPF_FS_MAGIC = 0xcafe4a11;

/**
 * `enum bpf_attach_type` (linux/bpf.h) of the programs at a cgroup, by program name, with the kernel's names for
 * people; null for tracepoints, which are in force everywhere or nowhere.
 */
export const programTypes: Readonly<Record<string, { readonly type: number | null; readonly text: string }>> =
  {
    sluice_bind4: { type: 8, text: 'cgroup_inet4_bind' },
    sluice_bind6: { type: 9, text: 'cgroup_inet6_bind' },
    sluice_connect4: { type: 10, text: 'cgroup_inet4_connect' },
    sluice_connect6: { type: 11, text: 'cgroup_inet6_connect' },
    sluice_attach: { type: null, text: 'cgroup_attach_task' },
    sluice_egress: { type: 1, text: 'cgroup_inet_egress' },
    sluice_exec: { type: null, text: 'sched_process_exec' },
    sluice_exit: { type: null, text: 'sched_process_exit' },
    sluice_fork: { type: null, text: 'sched_process_fork' },
    sluice_getpeername4: { type: 29, text: 'cgroup_inet4_getpeername' },
    sluice_getpeername6: { type: 30, text: 'cgroup_inet6_getpeername' },
    sluice_getsockopt: { type: 21, text: 'cgroup_getsockopt' },
    sluice_ingress: { type: 0, text: 'cgroup_inet_ingress' },
    sluice_recvmsg4: { type: 19, text: 'cgroup_udp4_recvmsg' },
    sluice_recvmsg6: { type: 20, text: 'cgroup_udp6_recvmsg' },
    sluice_sendmsg4: { type: 14, text: 'cgroup_udp4_sendmsg' },
    sluice_sendmsg6: { type: 15, text: 'cgroup_udp6_sendmsg' },
    sluice_setsockopt: { type: 22, text: 'cgroup_setsockopt' },
    sluice_sock_create: { type: 2, text: 'cgroup_inet_sock_create' },
    sluice_sock_release: { type: 34, text: 'cgroup_inet_sock_release' },
    sluice_sockops: { type: 3, text: 'cgroup_sock_ops' },
  };

/** Programs of the BPF LSM, by their hook; not every kernel takes them, and before 6.5 there is one more. */
export const lsmPrograms: Readonly<Record<string, string>> = {
  sluice_lsm_accept: 'lsm socket_accept',
  sluice_lsm_connect: 'lsm socket_connect',
  sluice_lsm_connectx: 'lsm sctp_bind_connect',
  sluice_lsm_create: 'lsm socket_create',
  sluice_lsm_mount: 'lsm fs_context_parse_param',
  sluice_lsm_receive: 'lsm file_receive',
  sluice_lsm_send: 'lsm socket_sendmsg',
  sluice_lsm_splice: 'lsm file_permission',
  sluice_lsm_unix_connect: 'lsm unix_stream_connect',
  sluice_lsm_unix_send: 'lsm unix_may_send',
};

/** The kernel keeps 15 characters of a program's name. */
function kernelName(program: string): string {
  return program.slice(0, 15);
}

export const pinPaths = (directory: string) => ({
  links: `${directory}/links`,
  maps: `${directory}/maps`,
  link: (program: string) => `${directory}/links/${program}`,
  map: (name: string) => `${directory}/maps/${name}`,
});

/** While one ABI takes the place of another: see migrate/stage.ts. */
export const stagePaths = (directory: string) => ({
  links: `${directory}/links_next`,
  maps: `${directory}/maps_next`,
  former: `${directory}/maps_former`,
});

/** With all pins in it; what was removed. */
export function removeDirectory(path: string): string[] {
  if (!existsSync(path)) return [];
  const removed = readdirSync(path).map((name) => `${path}/${name}`);
  for (const pin of removed) rmSync(pin);
  rmdirSync(path);
  return removed;
}

/**
 * Makes the pin directories, closed to all but root.
 *
 * @throws SluiceError NOT_SUPPORTED when the place is no bpffs.
 */
export function makePinDirectories(directory: string): void {
  const parent = directory.slice(0, directory.lastIndexOf('/'));
  if (!existsSync(parent) || Number(statfsSync(parent).type) !== BPF_FS_MAGIC)
    throw new SluiceError('NOT_SUPPORTED', `${parent} is not a bpffs`, {
      hint: 'mount -t bpf bpf /sys/fs/bpf',
    });
  for (const path of [directory, pinPaths(directory).links, pinPaths(directory).maps])
    mkdirSync(path, { recursive: true, mode: 0o700 });
}

export interface ProgramState {
  readonly name: string;
  readonly attachType: string;
  readonly effective: boolean;
  readonly pinned: boolean;
}

/** Id of the program behind a pin; null when there is none. */
function pinnedProgram(pin: string): number | null {
  return existsSync(pin) ? addon().linkProgram(pin).programId : null;
}

/** For each program: whether its link is pinned, and whether the kernel runs it at `cgroup`. */
export function programStates(directory: string, cgroup: string): ProgramState[] {
  return Object.entries(programTypes).map(([name, { type, text }]) => {
    const id = pinnedProgram(pinPaths(directory).link(name));
    const effective =
      id !== null &&
      (type === null ||
        addon()
          .effectivePrograms(cgroup, type)
          .some((program) => program.id === id));
    return { name, attachType: text, effective, pinned: id !== null };
  });
}

/** Those of the BPF LSM whose link is pinned. Whether the kernel asks them, only an attempt can tell. */
export function lsmStates(directory: string): ProgramState[] {
  return Object.entries(lsmPrograms)
    .filter(([name]) => pinnedProgram(pinPaths(directory).link(name)) !== null)
    .map(([name, attachType]) => ({ name, attachType, effective: true, pinned: true }));
}

/**
 * Programs of another Sluice at the root of the hierarchy: attached under our names, but not by our pins. Two
 * of them would redirect the same connections.
 */
export function foreignPrograms(directory: string, cgroup: string): string[] {
  const foreign: string[] = [];
  for (const [name, { type }] of Object.entries(programTypes)) {
    if (type === null) continue;
    const own = [pinPaths(directory).links, stagePaths(directory).links].map((links) =>
      pinnedProgram(`${links}/${name}`),
    );
    for (const program of addon().effectivePrograms(cgroup, type))
      if (program.name === kernelName(name) && !own.includes(program.id)) foreign.push(name);
  }
  return foreign;
}

/** Whether anything is attached by these pins. */
export function hasLinks(directory: string): boolean {
  return [pinPaths(directory).links, stagePaths(directory).links].some(
    (links) => existsSync(links) && readdirSync(links).length > 0,
  );
}

/** What is in force with no daemon to ask; null when nothing is installed. */
export function describePins(directory: string = DEFAULT_PIN_DIRECTORY): ProgramState[] | null {
  // A directory without a link in it governs nobody.
  if (!hasLinks(directory)) return null;
  return [...programStates(directory, findCgroup2()), ...lsmStates(directory)];
}

/** Removes every pin, links first: the hooks go before the tables they need. Returns what was removed. */
export function removePins(directory: string): string[] {
  const { links, maps } = pinPaths(directory);
  const next = stagePaths(directory);
  const removed = [next.links, links, next.maps, maps, next.former].flatMap(removeDirectory);
  if (existsSync(directory)) {
    rmdirSync(directory);
    removed.push(directory);
  }
  return removed;
}
