/** What the entries of all unprivileged processes do first: whoever reads hostile bytes has nothing to lose. */
import { dropPrivileges, raiseFileLimit } from '../kernel/worker.ts';

/** sysexits.h EX_SOFTWARE: the daemon starts another process. */
export const EXIT_DEFECT = 70;
/** sysexits.h EX_USAGE. */
const EXIT_USAGE = 64;

/** What the environment could say about whom to trust, or make Node write down secrets. */
const UNTRUSTED_ENVIRONMENT = [
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'NODE_EXTRA_CA_CERTS',
  'NODE_TLS_REJECT_UNAUTHORIZED',
  'SSLKEYLOGFILE',
];

/** Becomes the user of the command line, `UID GID`, without privilege or return. */
export function becomeHarmless(title: string): void {
  const [uid, gid] = process.argv.slice(2).map(Number);
  if (uid === undefined || gid === undefined || !(uid > 0) || !(gid > 0)) {
    process.stderr.write(`usage: ${title} UID GID (neither of them root)\n`);
    process.exit(EXIT_USAGE);
  }
  process.umask(0o077);
  process.title = title;
  for (const name of UNTRUSTED_ENVIRONMENT) delete process.env[name];
  raiseFileLimit();
  dropPrivileges(uid, gid);
}
