/**
 * From a cgroup id to its path below the cgroup v2 mount.
 *
 * The id is the inode number of the cgroup's directory, never used twice while the host runs (kernfs counts on
 * over 64 bits) and a cgroup v2 cannot be renamed: what was once seen stays true, even after the cgroup is gone.
 * That memory is what attributes a flow to a `sluice run` that ended before anybody looked; the kernel plane has one as
 * well, of the cgroups agents connected from.
 */
import type { Dirent } from 'node:fs';
import { opendir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { BoundedMap } from '../core/bounded-map.ts';
import { type Clock, systemClock } from '../core/clock.ts';

/** Paths remembered; a few hundred bytes each. */
const MAX_REMEMBERED = 16_384;
/** Directories one walk looks at; a host with a thousand containers has under 10,000. */
const MAX_WALK_DIRECTORIES = 20_000;
/** At most one walk in this time: ids of cgroups that are gone would otherwise start one each. */
const WALK_INTERVAL_MS = 500;

export interface CgroupPathsOptions {
  readonly procRoot: string;
  readonly cgroupRoot: string;
  readonly clock?: Clock;
  readonly maxWalkDirectories?: number;
  readonly sleep?: (ms: number) => Promise<unknown>;
  /** Who may have seen it while it was there; its word is believed. */
  readonly hint?: (id: bigint) => string | null;
}

/** The cgroup v2 line (`0::/path`) of a /proc/PID/cgroup file, or null. (cgroups(7)) */
export function parseCgroupPath(text: string): string | null {
  for (const line of text.split('\n')) {
    if (!line.startsWith('0::/')) continue;
    const path = line.slice(3);
    // `/..` shows a cgroup outside our cgroup namespace: there is no path to it from here.
    return path.split('/').includes('..') ? null : path;
  }
  return null;
}

export class CgroupPaths {
  readonly #procRoot: string;
  readonly #cgroupRoot: string;
  readonly #clock: Clock;
  readonly #maxWalkDirectories: number;
  readonly #sleep: (ms: number) => Promise<unknown>;
  readonly #hint: (id: bigint) => string | null;
  readonly #seen = new BoundedMap<bigint, string>(MAX_REMEMBERED);
  #walk: Promise<void> | null = null;
  #walkedMs = Number.NEGATIVE_INFINITY;

  constructor(options: CgroupPathsOptions) {
    this.#procRoot = options.procRoot;
    this.#cgroupRoot = options.cgroupRoot;
    this.#clock = options.clock ?? systemClock;
    this.#maxWalkDirectories = options.maxWalkDirectories ?? MAX_WALK_DIRECTORIES;
    this.#sleep = options.sleep ?? setTimeout;
    this.#hint = options.hint ?? (() => null);
  }

  /** For whoever makes or enrols a cgroup: its path is then known from the start. */
  remember(id: bigint, path: string): void {
    this.#seen.set(id, path);
  }

  /** Path below the mount, beginning with `/`; null if the cgroup is gone and was never seen. */
  async resolve(id: bigint, pid: number): Promise<string | null> {
    const seen = this.#seen.get(id);
    if (seen !== undefined) return seen;
    const path = (await this.#ofProcess(id, pid)) ?? this.#hint(id);
    if (path !== null) {
      this.remember(id, path);
      return path;
    }
    await this.#walkTree();
    return this.#seen.get(id) ?? null;
  }

  /** Where the process is now: it may have moved, so the directory must have the id asked for. */
  async #ofProcess(id: bigint, pid: number): Promise<string | null> {
    try {
      const text = await readFile(join(this.#procRoot, String(pid), 'cgroup'), 'utf8');
      const path = parseCgroupPath(text);
      if (path === null) return null;
      const found = await stat(join(this.#cgroupRoot, path), { bigint: true });
      return found.ino === id ? path : null;
    } catch {
      return null;
    }
  }

  /** Joins the walk that waits for its turn or starts one: whoever asks gets one that begins after it asked. */
  #walkTree(): Promise<void> {
    this.#walk ??= this.#walkInTurn();
    return this.#walk;
  }

  async #walkInTurn(): Promise<void> {
    const waitMs = this.#walkedMs + WALK_INTERVAL_MS - this.#clock.monotonic();
    await this.#sleep(Math.max(0, waitMs));
    this.#walk = null;
    this.#walkedMs = this.#clock.monotonic();
    await this.#look();
  }

  /** Breadth first, so that the bound cuts off the deepest and not the rest of the host. */
  async #look(): Promise<void> {
    const queue = ['/'];
    for (let next = 0; next < queue.length; next++) {
      const path = queue[next] ?? '/';
      try {
        const found = await stat(join(this.#cgroupRoot, path), { bigint: true });
        this.remember(found.ino, path);
        for await (const entry of await opendir(join(this.#cgroupRoot, path)))
          this.#enqueue(queue, path, entry);
      } catch {
        // Removed while we looked.
      }
    }
  }

  #enqueue(queue: string[], parent: string, entry: Dirent): void {
    if (!entry.isDirectory() || queue.length >= this.#maxWalkDirectories) return;
    queue.push(parent === '/' ? `/${entry.name}` : `${parent}/${entry.name}`);
  }
}
