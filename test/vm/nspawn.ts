/**
 * The same guest as a container: its systemd, on this host's kernel, booted in a second. It has namespaces of its own
 * for processes, mounts, network and cgroups; its cgroup v2 tree is a branch of the host's, wherever that is mounted.
 */
import { existsSync, mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { findCgroup2 } from '#src/kernel/cgroup.ts';
import { type CommandOptions, type Finished, run } from '#test/support/command.ts';
import { patience } from '#test/support/patience.ts';
import type { Cache } from './cache.ts';
import { Channel, type Verdict } from './channel.ts';
import { GUEST_CHECKOUT, getTree, type Suite } from './root.ts';

const LIMIT_MS = 900_000;
const PATIENCE = 4;
const FILE_TIMEOUT_SECONDS = 600;
/** A host with version 1 hierarchies has systemd's own among them; nspawn wants a place there too. */
const SYSTEMD_V1 = '/sys/fs/cgroup/systemd';
const PREFIX = 'sluice-nspawn-';
const checkout = join(import.meta.dirname, '../..');

export interface ContainerRun {
  readonly tests: readonly string[];
  /** An empty directory: console and channel are written there. */
  readonly directory: string;
  readonly onLine: (line: string) => void;
}

/**
 * Boots the suite's tree, runs the tests in it and waits for its end.
 *
 * @throws Error when the container did not come to its end by itself, with what it printed.
 */
export async function runContainer(cache: Cache, suite: Suite, container: ContainerRun): Promise<Verdict> {
  const tree = await getTree(cache, suite);
  const name = `${PREFIX}${process.pid}`;
  const channel = new Channel(join(container.directory, 'channel'), container.onLine);
  const environment = {
    SLUICE_GUEST_TESTS: container.tests.join(','),
    SLUICE_GUEST_CHANNEL: '/run/host/guest/channel',
    SLUICE_GUEST_TIMEOUT: String(FILE_TIMEOUT_SECONDS),
    // A processor of usual speed, and others beside that want it.
    SLUICE_TEST_PATIENCE: String(Math.max(patience, PATIENCE)),
  };
  const nspawn = [
    ...['systemd-nspawn', '--quiet', '--boot', `--directory=${tree}`, '--volatile=overlay'],
    ...[`--machine=${name}`, '--register=no', '--keep-unit', '--console=pipe', '--private-network'],
    // A guest stands for a host: its root may do what root may.
    ...['--capability=all', '--system-call-filter=bpf perf_event_open @keyring'],
    `--bind-ro=${checkout}:${GUEST_CHECKOUT}`,
    `--bind=${container.directory}:/run/host/guest`,
    ...Object.entries(environment).map(([key, value]) => `--setenv=${key}=${value}`),
    'systemd.unit=sluice-guest.target',
  ];
  const env = { SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1' };
  const finished = await runInCgroups(name, nspawn, { env, timeoutMs: LIMIT_MS });
  const verdict = channel.close();
  if (verdict.exitCode === null)
    throw new Error(`the container ended without a result\n${finished.stdout}${finished.stderr}`);
  return verdict;
}

/** In cgroups of its own, because nspawn divides those it is started in, and leaves them so. */
async function runInCgroups(
  name: string,
  nspawn: readonly string[],
  options: CommandOptions,
): Promise<Finished> {
  clearContainerCgroups();
  const cgroups = [findCgroup2(), SYSTEMD_V1].filter(existsSync).map((root) => `${root}/${name}`);
  for (const directory of cgroups) mkdirSync(directory, { recursive: true });
  // The shell enters them, nspawn takes its place.
  const enter = 'for directory in $1; do echo 0 >"$directory/cgroup.procs"; done; shift; exec "$@"';
  try {
    return await run(['sh', '-c', enter, 'sh', cgroups.join(' '), ...nspawn], options);
  } finally {
    clearContainerCgroups([name]);
  }
}

/** Cgroups of `names`, and of runs that were killed: their names carry the pid. */
export function clearContainerCgroups(names: readonly string[] = []): void {
  for (const root of [findCgroup2(), SYSTEMD_V1].filter(existsSync))
    for (const entry of readdirSync(root)) {
      const pid = entry.startsWith(PREFIX) ? entry.slice(PREFIX.length) : null;
      if (pid !== null && (names.includes(entry) || !existsSync(`/proc/${pid}`)))
        removeBelow(`${root}/${entry}`);
    }
}

/** Whether one can be started at all, by starting one that does nothing; else why not. */
export async function whyNoContainer(tree: string): Promise<string | null> {
  const probe = ['systemd-nspawn', '--quiet', '--register=no', '--keep-unit', `--directory=${tree}`];
  const name = `${PREFIX}${process.pid}`;
  const done = await runInCgroups(name, [...probe, '--volatile=overlay', '/bin/true'], {
    timeoutMs: 120_000,
  });
  return done.code === 0
    ? null
    : `systemd-nspawn cannot be used here: ${done.stderr.trim().split('\n').at(-1)}`;
}

function removeBelow(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true }))
    if (entry.isDirectory()) removeBelow(`${directory}/${entry.name}`);
  rmdirSync(directory);
}
