/**
 * Fetches PostgreSQL in the versions this host does not have, for test/e2e/postgres-versions.test.ts: Debian's, from the mirror of
 * this host's apt, and npm's for those that no suite has. They are unpacked into a cache and made to run from there.
 *
 * One that cannot be had is no failure: why is written down, for the test to say.
 */
import { createHash } from 'node:crypto';
import {
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { must } from '#test/support/command.ts';
import {
  DIRECTORIES,
  FETCHED_DIR,
  libraryPath,
  POSTGRES_SOURCES,
  type PostgresSource,
  reasonFile,
} from '#test/support/postgres-versions.ts';
import { findMirrors, PrivateApt } from '#test/vm/apt.ts';
import { Cache } from '#test/vm/cache.ts';
import { CannotRun } from '#test/vm/cannot.ts';

/** Programs and what they are linked with; not what only maintains a server, and not the compiler of queries. */
const WANTED = /^(?:lib(?!llvm|perl|python|tcl)|postgresql-(?!common)|krb5-(?!config|locales)|slapd)/;
const NOT_WANTED = ['doc', 'locale', 'man', 'perl'].map((name) => `--exclude=./usr/share/${name}`);

interface Packages {
  readonly name: string;
  readonly suite: string;
  readonly packages: readonly string[];
  /** Where the programs are that are to run. */
  readonly bin: readonly string[];
}

async function fromDebian(
  cache: Cache,
  { name, suite, packages, bin }: Packages,
  into: string,
): Promise<void> {
  const scratch = cache.scratch('apt');
  try {
    const apt = await PrivateApt.open(scratch, await findMirrors(), [suite]);
    const archives = join(scratch, 'archives');
    await apt.downloadAll(packages, archives);
    for (const file of readdirSync(archives).filter(
      (archive) => archive.endsWith('.deb') && WANTED.test(archive),
    ))
      await must([
        'sh',
        '-c',
        'dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" "$3" "$4" "$5" "$6"',
        'sh',
        join(archives, file),
        into,
        ...NOT_WANTED,
      ]);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  for (const directory of bin) await runFrom(into, join(FETCHED_DIR, name), directory);
}

/** Has programs take the C library and all others from the tree they are in, once that is where it stays. */
async function runFrom(tree: string, stays: string, bin: string): Promise<void> {
  const [loader] = globSync('{usr/lib,lib}/x86_64-linux-gnu/ld-*.so*', { cwd: tree });
  if (loader === undefined) throw new CannotRun('the packages hold no loader');
  const there = [
    '--set-interpreter',
    join(stays, loader),
    '--force-rpath',
    '--set-rpath',
    libraryPath(stays),
  ];
  for (const name of readdirSync(join(tree, bin))) {
    const program = join(tree, bin, name);
    if (readFileSync(program).toString('latin1', 0, 4) === '\x7fELF')
      await must(['patchelf', ...there, program]);
  }
}

async function fromNpm(name: string, sha512: string, into: string): Promise<void> {
  const quietly = ['--silent', '--ignore-scripts', '--fetch-retries=1', '--pack-destination', into];
  await must(['npm', 'pack', ...quietly, name], { timeoutMs: 300_000 });
  const [archive] = globSync(join(into, '*.tgz'));
  if (archive === undefined) throw new CannotRun(`npm gave no ${name}`);
  const is = createHash('sha512').update(readFileSync(archive)).digest('base64');
  if (is !== sha512) throw new CannotRun(`${name} is not what it was: sha512 ${is}`);
  await must(['tar', '-xzf', archive, '-C', into, '--strip-components=2', 'package/native']);
  rmSync(archive);
  // An archive of npm holds no links, so they are listed.
  const links = JSON.parse(readFileSync(join(into, 'pg-symlinks.json'), 'utf8')) as {
    readonly source: string;
    readonly target: string;
  }[];
  for (const { source, target } of links) {
    const [file, link] = [source, target].map((path) => join(into, path.replace(/^native\//, '')));
    if (file === undefined || link === undefined || relative(into, link).startsWith('..')) continue;
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(relative(dirname(link), file), link);
  }
}

/** Another one has all fetched anew. */
const RECIPE = 'unpacked-1';

async function fetchVersion(cache: Cache, { major, from }: PostgresSource): Promise<void> {
  const name = String(major);
  const debian = {
    packages: [`postgresql-${major}`, `postgresql-client-${major}`],
    bin: [`usr/lib/postgresql/${major}/bin`],
  };
  await cache.get(name, `${RECIPE} ${JSON.stringify(from)}`, (into) =>
    'suite' in from
      ? fromDebian(cache, { name, suite: from.suite, ...debian }, into)
      : fromNpm(from.npm, from.sha512, into),
  );
}

/** What PostgreSQL asks about its users: a Kerberos and an LDAP server. */
async function fetchDirectories(cache: Cache): Promise<void> {
  const wanted = {
    name: DIRECTORIES,
    suite: 'bookworm',
    packages: ['krb5-kdc', 'krb5-admin-server', 'krb5-user', 'slapd'],
    bin: ['usr/bin', 'usr/sbin'],
  };
  await cache.get(DIRECTORIES, RECIPE, (into) => fromDebian(cache, wanted, into));
}

async function attempt(name: string, what: string, fetch: () => Promise<void>): Promise<void> {
  rmSync(reasonFile(name), { force: true });
  if (!existsSync(join(FETCHED_DIR, name))) process.stdout.write(`fetching ${what}\n`);
  try {
    if (process.arch !== 'x64') throw new CannotRun(`this machine is ${process.arch}`);
    await fetch();
  } catch (error) {
    const why =
      String((error as Error).message)
        .trim()
        .split('\n')
        .at(-1) ?? '';
    writeFileSync(reasonFile(name), `${why}\n`);
    process.stdout.write(`no ${what}: ${why}\n`);
  }
}

const cache = new Cache(FETCHED_DIR);
for (const source of POSTGRES_SOURCES) {
  const { major } = source;
  if (existsSync(`/usr/lib/postgresql/${major}/bin/postgres`))
    rmSync(reasonFile(String(major)), { force: true });
  else await attempt(String(major), `PostgreSQL ${major}`, () => fetchVersion(cache, source));
}
await attempt(DIRECTORIES, 'Kerberos and LDAP servers', () => fetchDirectories(cache));
