/**
 * Tells when something changes where an enrolled executable lies, so that an upgraded one is known at once: by
 * inotify on the directories, of which only the names that matter are looked at. Without it (inotify has run out)
 * the daemon's upkeep finds the same a little later, and what runs in the meantime is governed as unknown.
 */
import { type FSWatcher, realpathSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';

/** A package manager renames several files in a row. */
const QUIET_MS = 20;

export class ExeWatch {
  readonly #changed: () => void;
  readonly #watchers = new Map<string, { readonly watcher: FSWatcher; names: Set<string> }>();
  #timer: NodeJS.Timeout | null = null;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** Watches these executables, and the files that links in their place lead to, and no others any more. */
  set(paths: readonly string[]): void {
    const wanted = new Map<string, Set<string>>();
    for (const path of paths)
      for (const place of new Set([path, realOf(path)])) {
        const names = wanted.get(dirname(place)) ?? new Set();
        wanted.set(dirname(place), names.add(basename(place)));
      }
    for (const [directory, { watcher }] of this.#watchers)
      if (!wanted.has(directory)) {
        watcher.close();
        this.#watchers.delete(directory);
      }
    for (const [directory, names] of wanted) {
      const watched = this.#watchers.get(directory);
      if (watched === undefined) this.#watch(directory, names);
      else watched.names = names;
    }
  }

  #watch(directory: string, names: Set<string>): void {
    try {
      const watcher = watch(directory, { persistent: false }, (_event, name) => {
        if (name === null || this.#watchers.get(directory)?.names.has(name) === true) this.#tell();
      });
      // A directory that goes away is found by upkeep.
      watcher.on('error', () => {
        watcher.close();
        this.#watchers.delete(directory);
      });
      this.#watchers.set(directory, { watcher, names });
    } catch {
      // No inotify left: upkeep remains.
    }
  }

  #tell(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#changed();
    }, QUIET_MS);
  }

  close(): void {
    for (const { watcher } of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}

function realOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
