/**
 * Packages of Debian suites that are not this host's: from the mirror its own apt is configured with, by an apt
 * whose lists and state are apart, so that nothing of the host changes.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '#test/support/command.ts';
import { CannotRun } from './cannot.ts';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const TIMEOUT_MS = 300_000;

export interface Mirrors {
  readonly main: string;
  readonly security: string;
}

/** `text`: lines of `URI LABEL`, as `apt-get indextargets` gives them. */
export function mirrorsOf(text: string): Mirrors {
  const lines = text.split('\n').map((line) => line.split(' '));
  const uri = (label: string): string | undefined => lines.find((line) => line[1] === label)?.[0];
  const main = uri('Debian');
  const security = uri('Debian-Security');
  if (main === undefined || security === undefined)
    throw new CannotRun(
      'apt has no Debian mirror with security updates. Mend: see sources.list(5), then apt-get update',
    );
  return { main, security };
}

export async function findMirrors(): Promise<Mirrors> {
  const format = '$(REPO_URI) $(LABEL)';
  const argv = ['apt-get', 'indextargets', '--format', format, 'Created-By: Packages'];
  const text = await must(argv).catch((error: Error) => {
    throw new CannotRun(`no apt here: ${error.message.split('\n')[0]}`);
  });
  if (!existsSync(KEYRING))
    throw new CannotRun(`${KEYRING} is missing. Mend: apt-get install debian-archive-keyring`);
  return mirrorsOf(text);
}

/** A line of sources.list(5). Signatures are demanded; the keys are Debian's own. */
export function sourceLine(mirrors: Mirrors, suite: string, kind: 'deb' | 'deb-src' = 'deb'): string {
  const mirror = suite.endsWith('-security') ? mirrors.security : mirrors.main;
  return `${kind} [signed-by=${KEYRING}] ${mirror} ${suite} main`;
}

/** Suites that are no longer updated have lists past their date; they are signed all the same. */
export const APT_OPTIONS = [
  'Acquire::Check-Valid-Until=false',
  'Acquire::Languages=none',
  'Acquire::Retries=5',
];

export class PrivateApt {
  readonly #options: readonly string[];

  private constructor(directory: string) {
    const settings = [
      ...APT_OPTIONS,
      'APT::Architecture=amd64',
      'APT::Architectures=amd64',
      'APT::Sandbox::User=root',
      `Dir::State=${directory}/state`,
      `Dir::State::status=${directory}/status`,
      `Dir::Cache=${directory}/cache`,
      `Dir::Etc::sourcelist=${directory}/sources.list`,
      'Dir::Etc::sourceparts=-',
      'Dir::Etc::preferencesparts=-',
    ];
    this.#options = settings.flatMap((setting) => ['-o', setting]);
  }

  /** @throws CannotRun when the mirror cannot be reached or does not have a suite. */
  static async open(
    directory: string,
    mirrors: Mirrors,
    suites: readonly string[],
    kind: 'deb' | 'deb-src' = 'deb',
  ): Promise<PrivateApt> {
    for (const sub of ['state/lists/partial', 'cache/archives/partial'])
      mkdirSync(join(directory, sub), { recursive: true });
    writeFileSync(join(directory, 'status'), '');
    writeFileSync(
      join(directory, 'sources.list'),
      suites.map((suite) => `${sourceLine(mirrors, suite, kind)}\n`).join(''),
    );
    const apt = new PrivateApt(directory);
    await apt.#run('apt-get', ['update', '-q', '--error-on=any']).catch((error: Error) => {
      throw new CannotRun(
        `the mirror does not give ${suites.join(', ')}: ${error.message.trim().split('\n').at(-1)}`,
      );
    });
    return apt;
  }

  #run(program: string, args: readonly string[], cwd?: string): Promise<string> {
    const where = cwd === undefined ? {} : { cwd };
    return must([program, ...this.#options, ...args], { timeoutMs: TIMEOUT_MS, ...where });
  }

  /** Names of the packages that one depends on directly. */
  async dependencies(name: string): Promise<string[]> {
    const text = await this.#run('apt-cache', ['depends', '--no-recommends', '--no-suggests', name]);
    return [...text.matchAll(/^\s+\|?(?:Pre)?Depends: ([^<\s]+)$/gm)].map((match) => match[1] ?? '');
  }

  async download(packages: readonly string[], into: string): Promise<void> {
    await this.#run('apt-get', ['download', '-q', ...packages], into);
  }

  /** And all that they depend on, as nothing is installed in this apt's eyes. */
  async downloadAll(packages: readonly string[], into: string): Promise<void> {
    mkdirSync(join(into, 'partial'), { recursive: true });
    const where = ['-o', `Dir::Cache::archives=${into}`];
    const install = ['install', '-q', '-y', '--no-install-recommends', '--download-only'];
    await this.#run('apt-get', [...where, ...install, ...packages]);
  }

  /** The newest source of a package that the mirror has: some carry sources of a release only, and none of its updates. */
  async downloadSource(name: string, into: string): Promise<void> {
    const text = await this.#run('apt-cache', ['showsrc', '--only-source', name]);
    const versions = [...text.matchAll(/^Version: (\S+)$/gm)].map((match) => match[1] ?? '');
    let problem = 'it has none';
    for (const version of versions.reverse()) {
      const argv = ['source', '--download-only', '-q', `${name}=${version}`];
      const failed = await this.#run('apt-get', argv, into).then(
        () => null,
        (error: Error) => error,
      );
      if (failed === null) return;
      problem = failed.message.trim().split('\n').at(-1) ?? '';
    }
    throw new CannotRun(`the mirror does not give the source of ${name}: ${problem}`);
  }
}
