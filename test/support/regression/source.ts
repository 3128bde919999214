/**
 * PostgreSQL's own regression tests, out of Debian's source package of the server that is installed: by the mirror of this host's
 * apt, into the cache that guests are kept in (test/vm), and from there once it is there.
 */
import { globSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '#test/support/command.ts';
import { findPrograms } from '#test/support/postgres.ts';
import { findMirrors, PrivateApt } from '#test/vm/apt.ts';
import { Cache } from '#test/vm/cache.ts';
import { CannotRun } from '#test/vm/cannot.ts';

/** Where in the source they are. */
const REGRESS = 'src/test/regress';

/** The directory that has `sql`, `data` and `parallel_schedule` in it. @throws CannotRun with why it cannot be had */
export async function regressionSource(): Promise<string> {
  const major = findPrograms().split('/')[4] ?? '';
  const suite = /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
  if (suite === undefined) throw new CannotRun('this is no release of Debian');
  const name = `postgresql-${major}`;
  return new Cache().get(`${name}-regress`, suite, async (directory) => {
    const apt = await PrivateApt.open(
      join(directory, 'apt'),
      await findMirrors(),
      [suite, `${suite}-security`],
      'deb-src',
    );
    await apt.downloadSource(name, directory);
    const [archive] = globSync(join(directory, '*.orig.tar.*'));
    if (archive === undefined) throw new CannotRun(`the source of ${name} has no archive in it`);
    const from = `*/${REGRESS}/*`;
    await must(['tar', '-xf', archive, '-C', directory, '--no-same-owner', '--wildcards', from], {
      timeoutMs: 120_000,
    });
    const [regress] = globSync(join(directory, '*', REGRESS));
    if (regress === undefined) throw new CannotRun(`the source of ${name} has no ${REGRESS}`);
    for (const part of ['sql', 'data', 'parallel_schedule'])
      renameSync(join(regress, part), join(directory, part));
    for (const path of globSync(join(directory, '{apt,postgresql*}')))
      rmSync(path, { recursive: true, force: true });
    await must(['chmod', '-R', 'a+rX', directory]);
  });
}

/** Names of the scripts in the order in which they are meant to run; those of a group may run at once. */
export function schedule(directory: string): string[][] {
  const lines = readFileSync(join(directory, 'parallel_schedule'), 'utf8').split('\n');
  return lines.flatMap((line) => (line.startsWith('test: ') ? [line.slice(6).trim().split(/\s+/)] : []));
}
