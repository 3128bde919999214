/**
 * The third layer: programs of the BPF LSM, which see what no cgroup hook does. Kernels may be built without it, list
 * it and refuse to load for it, or load and attach and never ask: so this only tries, and says why not. Whether the
 * hooks fire is found out by an attempt (daemon/tier.ts). Nothing of the other layers depends on it.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { release } from 'node:os';
import { errnoOf, messageOf } from '../core/errors.ts';
import { addon, buildPaths, logOf, type NativeObject } from './addon.ts';
import { missingIn } from './missing.ts';
import { lsmPrograms, lsmStates, pinPaths } from './pins.ts';
import { refusalIn } from './verifier.ts';

/** Where the kernel lists its security modules, if securityfs is mounted. */
const LIST = '/sys/kernel/security/lsm';
/** Before it, what splice() writes to a socket passes another hook than what sendmsg() does. */
const SPLICE_IS_SENDMSG_SINCE = [6, 5] as const;
const SPLICE_OBJECT = 'splice.bpf.o';

/** The modules in force, in their order; null where that cannot be read. */
export function activeModules(file = LIST): string[] | null {
  try {
    return readFileSync(file, 'latin1').trim().split(',');
  } catch {
    return null;
  }
}

/** Whether the kernel of this release (uname(2)) needs the hook of its own for splice(). */
export function needsSpliceHook(kernel: string): boolean {
  const [major = 0, minor = 0] = kernel.split('.').map((part) => Number.parseInt(part, 10));
  const [sinceMajor, sinceMinor] = SPLICE_IS_SENDMSG_SINCE;
  return major < sinceMajor || (major === sinceMajor && minor < sinceMinor);
}

/** Why the kernel did not take a program, in one sentence. */
export function whyNot(what: string, error: unknown): string {
  const missing = missingIn(release(), undefined, logOf(error));
  const refusal = refusalIn(logOf(error));
  const errno = errnoOf(error) ?? messageOf(error).split('\n')[0];
  const cause =
    missing.length > 0
      ? `it lacks ${missing.join(', ')}`
      : refusal === null
        ? errno
        : `its verifier refuses ${refusal.program} (${errno}): ${refusal.reason}`;
  const listed = activeModules()?.includes('bpf') === true ? ', though it lists bpf among them' : '';
  return `the kernel refuses to ${what} its security modules (BPF LSM)${listed}: ${cause}`;
}

export class LsmLayer {
  readonly #pinDirectory: string;
  readonly #attached = new Set<string>();

  constructor(pinDirectory: string) {
    this.#pinDirectory = pinDirectory;
  }

  /**
   * Loads and attaches all of its programs, or none of them; one that is in force already gives way to the new one.
   *
   * @param maps directory of those they use
   * @returns why it could not; null: all are attached.
   */
  attach(maps: string = pinPaths(this.#pinDirectory).maps): string | null {
    const objects: { readonly native: NativeObject; readonly programs: readonly string[] }[] = [];
    try {
      for (const file of this.#objectFiles()) {
        const native = new (addon().BpfObject)(file, maps);
        objects.push({ native, programs: native.programs().map(({ name }) => name) });
        native.load();
      }
    } catch (error) {
      for (const { native } of objects) native.close();
      return whyNot('load programs for', error);
    }
    const former = lsmStates(this.#pinDirectory).length > 0;
    try {
      for (const { native, programs } of objects)
        for (const program of programs) {
          native.attach(program, '', pinPaths(this.#pinDirectory).link(program));
          this.#attached.add(program);
        }
      return null;
    } catch (error) {
      // What a former daemon left is not opened by a mishap.
      if (!former) this.detach();
      return whyNot('attach programs to', error);
    } finally {
      // The pins keep what is in force.
      for (const { native } of objects) native.close();
    }
  }

  /**
   * The same where a former daemon's are in force by maps that are about to go: those would refuse whatever they do not
   * know. So they go in any case.
   */
  replace(maps: string): string | null {
    if (lsmStates(this.#pinDirectory).length === 0) return null;
    const reason = this.attach(maps);
    if (reason !== null) this.detach();
    return reason;
  }

  #objectFiles(): string[] {
    const directory = `${buildPaths.objects}/lsm`;
    return readdirSync(directory)
      .filter((name) => name.endsWith('.bpf.o'))
      .filter((name) => name !== SPLICE_OBJECT || needsSpliceHook(release()))
      .map((name) => `${directory}/${name}`);
  }

  /** Programs that were attached and whose pin is gone, and they with it. */
  missing(): string[] {
    return [...this.#attached].filter((program) => !existsSync(pinPaths(this.#pinDirectory).link(program)));
  }

  /** Takes all of it away again, what a former daemon attached as well. */
  detach(): void {
    this.#attached.clear();
    for (const program of Object.keys(lsmPrograms))
      rmSync(pinPaths(this.#pinDirectory).link(program), { force: true });
  }
}
