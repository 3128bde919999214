/**
 * Kernels, root images and disks, built once and kept outside the checkout. Each is made in a directory of its own
 * and renamed into place when it is whole, so that what is there is complete, however a build ended; a lock lets one
 * build at a time.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Running } from '#test/support/command.ts';

export const DEFAULT_CACHE = '/var/cache/sluice-vm';
const RECIPE_FILE = 'recipe';
/** Another run may be building all there is. */
const LOCK_WAIT_SECONDS = 1200;

export function cacheDirectory(env: NodeJS.ProcessEnv = process.env): string {
  return env['SLUICE_VM_CACHE'] || DEFAULT_CACHE;
}

/** What something is made from, as one short text: another recipe is another thing. */
export function digest(...parts: readonly (string | Buffer)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(`${part.length}:`).update(part);
  return hash.digest('hex').slice(0, 16);
}

export class Cache {
  readonly directory: string;
  readonly #refresh: boolean;
  readonly #made = new Set<string>();

  /** @param refresh makes everything anew, once for each thing */
  constructor(directory: string = cacheDirectory(), refresh = false) {
    this.directory = directory;
    this.#refresh = refresh;
    mkdirSync(join(directory, 'tmp'), { recursive: true, mode: 0o755 });
  }

  has(name: string, recipe: string): boolean {
    const file = join(this.directory, name, RECIPE_FILE);
    return existsSync(file) && readFileSync(file, 'utf8') === recipe;
  }

  /** The directory `name`, made by `make` (which gets an empty one) unless it is there after this recipe. */
  async get(name: string, recipe: string, make: (directory: string) => Promise<void>): Promise<string> {
    const target = join(this.directory, name);
    const wanted = (): boolean => this.has(name, recipe) && (!this.#refresh || this.#made.has(name));
    if (wanted()) return target;
    const unlock = await this.#lock();
    try {
      if (wanted()) return target;
      const building = this.scratch('build');
      try {
        await make(building);
        writeFileSync(join(building, RECIPE_FILE), recipe);
        rmSync(target, { recursive: true, force: true });
        mkdirSync(join(target, '..'), { recursive: true });
        renameSync(building, target);
        this.#made.add(name);
      } finally {
        rmSync(building, { recursive: true, force: true });
      }
    } finally {
      await unlock();
    }
    return target;
  }

  /** An empty directory for this run alone. What a killed run left is cleared away first. */
  scratch(purpose: string): string {
    const parent = join(this.directory, 'tmp');
    for (const entry of readdirSync(parent)) {
      const pid = /^[a-z]+-(\d+)-\d+$/.exec(entry)?.[1];
      if (pid !== undefined && !existsSync(`/proc/${pid}`))
        rmSync(join(parent, entry), { recursive: true, force: true });
    }
    for (let n = 0; ; n += 1) {
      const directory = join(parent, `${purpose}-${process.pid}-${n}`);
      if (existsSync(directory)) continue;
      mkdirSync(directory);
      return directory;
    }
  }

  async #lock(): Promise<() => Promise<unknown>> {
    const file = join(this.directory, 'lock');
    const held = ['sh', '-c', 'echo held; exec sleep infinity'];
    const holder = new Running(['flock', '--no-fork', '--wait', String(LOCK_WAIT_SECONDS), file, ...held]);
    await holder.waitFor((r) => r.stdout.includes('held'), (LOCK_WAIT_SECONDS + 5) * 1000);
    return () => holder.stop('SIGKILL');
  }
}

/** Removes this run's scratch directories, at whatever end. */
export function clearScratch(directory: string = cacheDirectory()): void {
  const parent = join(directory, 'tmp');
  for (const entry of existsSync(parent) ? readdirSync(parent) : [])
    if (entry.includes(`-${process.pid}-`)) rmSync(join(parent, entry), { recursive: true, force: true });
}
