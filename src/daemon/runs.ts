/** The cgroups of `sluice run`: one for each run, below the name it goes by, which is what policy enrols. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { SluiceError } from '../core/errors.ts';
import { removeCgroup, sluiceCgroups } from '../kernel/cgroup.ts';
import { reservedAgents } from './options.ts';

/** A directory name that needs no escaping anywhere. */
const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,62}$/;
const INSTANCE = /^[0-9a-f]{16}$/;

export class Runs {
  readonly #base: string;

  constructor(cgroupRoot: string) {
    this.#base = `${cgroupRoot}${sluiceCgroups.run}`;
  }

  /** @throws SluiceError CONFIG for a name that cannot be a cgroup's. */
  create(name: string): string {
    const reserved = Object.values(reservedAgents).some((taken) => taken === name);
    // `cgroup.*` are the kernel's own files there.
    if (!NAME.test(name) || name.startsWith('cgroup.') || reserved)
      throw new SluiceError('CONFIG', `"${name}" cannot be the name of a run`, {
        hint: 'letters, digits, dot, dash and underscore, at most 63; give another with --as',
      });
    const directory = `${this.#base}/${name}/${randomBytes(8).toString('hex')}`;
    mkdirSync(directory, { recursive: true });
    return directory;
  }

  /** Removes what runs left behind that ended without a daemon: a cgroup with processes in it stays. */
  sweep(): void {
    removeCgroup(this.#base);
  }

  /** Whether the cgroup is gone now: false while processes are left in it. */
  release(directory: string): boolean {
    const [name = '', instance = '', ...rest] = directory.startsWith(`${this.#base}/`)
      ? directory.slice(this.#base.length + 1).split('/')
      : [];
    if (!NAME.test(name) || !INSTANCE.test(instance) || rest.length > 0)
      throw new SluiceError('CONFIG', `${directory} is no cgroup of a run`);
    return !existsSync(directory) || removeCgroup(directory);
  }
}
