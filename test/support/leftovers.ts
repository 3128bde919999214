/**
 * Takes a test world apart: one way for a normal end, a failed test, Ctrl-C, and for what a killed run left
 * behind. All of it is synchronous, so that it also works in an exit handler, where nothing can be awaited.
 *
 * A world's name carries the pid and start time of the process that made it, so a later run knows for certain
 * which worlds have lost their owner, even when the pid has been given to somebody else.
 *
 * Pins of a Sluice are the host's and there is one set of them, so a world writes down which are its own: another
 * Sluice, which somebody has installed since, is left alone.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEFAULT_PIN_DIR } from '#src/api/paths.ts';
import { patience } from './patience.ts';

const PREFIX = 'slw';
const NETNS_DIR = '/run/netns';
/** A file of this name in the world's directory: Sluice was started in it, by the pins it names. */
const SLUICE_MARK = 'sluice-was-started';
const END_PROCESSES_MS = 30_000;
const root = join(import.meta.dirname, '../..');

let counter = 0;
const alive = new Set<string>();
let watching = false;

/** A new name, `slw-PID-START-N`, whose parts are taken apart when this process ends. Also clears old leftovers. */
export function claimWorld(): string {
  if (!watching) {
    watching = true;
    reap('without the host');
    process.on('exit', dismantleAll);
    for (const [signal, number] of [
      ['SIGINT', 2],
      ['SIGTERM', 15],
      ['SIGHUP', 1],
    ] as const) {
      process.on(signal, () => {
        dismantleAll();
        process.exit(128 + number);
      });
    }
  }
  counter += 1;
  const name = `${PREFIX}-${process.pid}-${startTime(process.pid)}-${counter}`;
  alive.add(name);
  mkdirSync(worldDir(name), { mode: 0o755, recursive: true });
  return name;
}

export function worldDir(world: string): string {
  return join(tmpdir(), world);
}

/** The host, the network beyond it, and a container of the host with a network of its own (box.ts). */
const SIDES = ['near', 'far', 'box'] as const;
export type Side = (typeof SIDES)[number];

export function netnsName(world: string, side: Side): string {
  return `${world}-${side}`;
}

export function sluiceMark(world: string): string {
  return join(worldDir(world), SLUICE_MARK);
}

/**
 * Makes the directory of the pins and writes down that they are this world's. To be called before each start of a
 * daemon, by who holds the host and has found it free, or has started one already.
 */
export function markSluice(world: string): void {
  mkdirSync(DEFAULT_PIN_DIR, { recursive: true, mode: 0o700 });
  writeFileSync(sluiceMark(world), String(pinsNow()));
}

/** What tells these pins from all others: the boot, and the number bpffs gave their directory, never given again. */
function pinsNow(): string | null {
  if (!existsSync(DEFAULT_PIN_DIR)) return null;
  return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${statSync(DEFAULT_PIN_DIR).ino}`;
}

/** Takes the world's pins off the host, which outlive their daemon by design. Whether there are none any more. */
function uninstall(world: string): boolean {
  const mark = sluiceMark(world);
  if (!existsSync(mark) || readFileSync(mark, 'utf8') !== pinsNow()) return true;
  // It refuses while a daemon holds the pins, whoever started that.
  const argv = ['uninstall', '--runtime-dir', join(worldDir(world), 'sluice-run')];
  const done = spawnSync(join(root, 'bin/sluice'), argv, { encoding: 'utf8', timeout: 120_000 });
  if (done.status === 0) return true;
  process.stderr.write(`sluice uninstall failed:\n${done.stdout}${done.stderr}\n`);
  return false;
}

/** Ends what runs in the world and removes it. Safe to call for a world half made or already gone. */
export function dismantle(world: string): void {
  removeNetwork(world, () => uninstall(world));
  alive.delete(world);
}

function removeNetwork(world: string, mayForget: () => boolean): void {
  const sides = SIDES.map((side) => netnsName(world, side));
  for (const netns of sides) endProcesses(netns);
  const forget = mayForget();
  for (const netns of sides) {
    if (existsSync(join(NETNS_DIR, netns))) spawnSync('ip', ['netns', 'del', netns]);
  }
  // What is still installed is found again by its mark.
  if (forget) rmSync(worldDir(world), { recursive: true, force: true, maxRetries: 3 });
}

/**
 * Dismantles the worlds of processes that are no more. Their pins are taken off by who holds the host only: to anybody
 * else they may be those of a test that runs.
 */
export function reap(who: 'holds the host' | 'without the host'): void {
  const names = new Set<string>();
  for (const dir of [NETNS_DIR, tmpdir()]) {
    for (const entry of existsSync(dir) ? readdirSync(dir) : []) {
      const match = /^(slw-(\d+)-(\d+)-\d+)(?:-near|-far|-box)?$/.exec(entry);
      if (match && startTime(Number(match[2])) !== match[3]) names.add(match[1] ?? '');
    }
  }
  for (const name of names)
    if (who === 'holds the host') dismantle(name);
    else removeNetwork(name, () => !existsSync(sluiceMark(name)));
}

function dismantleAll(): void {
  for (const world of [...alive]) dismantle(world);
}

/** Start time in clock ticks since boot (proc(5), /proc/pid/stat field 22), or null when there is no such process. */
function startTime(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in parentheses and may hold anything, spaces and `)` included.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

function endProcesses(netns: string): void {
  if (!existsSync(join(NETNS_DIR, netns))) return;
  const pause = new Int32Array(new SharedArrayBuffer(4));
  const end = performance.now() + END_PROCESSES_MS * patience;
  // Several rounds: a process may start another between the listing and its end, and has its time to end on a busy machine.
  while (performance.now() < end) {
    const { stdout } = spawnSync('ip', ['netns', 'pids', netns], { encoding: 'utf8' });
    const pids = stdout
      .split('\n')
      .map(Number)
      .filter((pid) => pid > 1 && pid !== process.pid);
    if (pids.length === 0) return;
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended by itself.
      }
    }
    Atomics.wait(pause, 0, 0, 20);
  }
}
