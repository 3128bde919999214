/** The command line of scripts/test-vm. */
import { parseArgs } from 'node:util';
import type { Selection } from '#test/support/bypass/selection.ts';
import { DEFAULT_PAIR, PAIRS, type Pair } from './pairs.ts';

/** Enough for the whole bypass matrix on a machine that is busy with other things. */
const MAX_MINUTES = 90;

export const USAGE = `usage: scripts/test-vm [--all | --pair SUITE/KERNEL]... [OPTION...]

Boots Debian's kernels under a real systemd in QEMU, by software emulation, and runs Sluice's tests in them.
Needs root. Kernels and root images are built once from this host's Debian mirror (about 2 minutes) and kept in
/var/cache/sluice-vm, or in $SLUICE_VM_CACHE. A pair takes a few minutes.

  --pair SUITE/KERNEL   this one; may be given more than once (default: ${DEFAULT_PAIR})
  --all                 every pair of --list, one after the other
  --list                what there is, and do nothing
  --brief               what can be tried in some minutes: units end to end, few rows of the bypass matrix
  --filter TEXT         only test files whose path contains the text, or one of them if given more than once
  --matrix              all rows of the bypass matrix, not only those in which kernels differ: half an hour each
  --write               the same, and keep what comes of it in test/bypass/results and docs/bypass-matrix.md
  --quiet               of these all but races and storms, which take as long as the rest: kept as \`not run\`
  --resume              of these what is not kept yet: after a guest that died, or after --quiet
  --limit MINUTES       of one guest, which is ended then and has failed (default: 90)
  --prepare             build what the pairs need, and boot nothing
  --refresh             build it anew: newer kernels and packages of the mirror
  --if-possible         where packages, mirror or machine do not allow it: say so, and exit with 0
  --keep DIRECTORY      put each guest's console and journal there
  --help

The last line is \`N passed, N failed\`. Exit code: 0 all passed, 1 something failed or could not be run, 2 wrong
use, 130 interrupted.
`;

export interface Options {
  readonly help: boolean;
  readonly list: boolean;
  readonly pairs: readonly Pair[];
  readonly brief: boolean;
  readonly limitMinutes: number;
  /** Empty: all. */
  readonly filters: readonly string[];
  readonly bypass: Selection;
  /** In test/bypass/results, in place of comparing it with that. */
  readonly keepsBypass: boolean;
  readonly prepareOnly: boolean;
  readonly refresh: boolean;
  readonly ifPossible: boolean;
  readonly keep: string | null;
}

function find(name: string): Pair {
  const pair = PAIRS.find((one) => one.name === name);
  if (pair !== undefined) return pair;
  throw new Error(`--pair: "${name}" is none of ${PAIRS.map((one) => one.name).join(', ')}`);
}

function selectionOf({
  brief,
  resume,
  quiet,
  write,
  matrix,
}: Readonly<Record<'brief' | 'resume' | 'quiet' | 'write' | 'matrix', boolean>>): Selection {
  if (brief) return 'few';
  if (resume) return 'missing';
  if (quiet) return 'quiet';
  return write || matrix ? 'all' : 'differing';
}

/** Throws an Error whose message says what is wrong with the arguments. */
export function parseOptions(argv: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      pair: { type: 'string', multiple: true },
      all: { type: 'boolean', default: false },
      brief: { type: 'boolean', default: false },
      limit: { type: 'string', default: String(MAX_MINUTES) },
      list: { type: 'boolean', default: false },
      filter: { type: 'string', multiple: true, default: [] },
      matrix: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      quiet: { type: 'boolean', default: false },
      resume: { type: 'boolean', default: false },
      prepare: { type: 'boolean', default: false },
      refresh: { type: 'boolean', default: false },
      'if-possible': { type: 'boolean', default: false },
      keep: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.all && values.pair !== undefined) throw new Error('--all and --pair exclude each other');
  const asked = [values.quiet, values.resume, values.brief].filter(Boolean).length;
  if (asked > 1) throw new Error('--brief, --quiet and --resume exclude each other');
  if (values.brief && (values.write || values.matrix)) throw new Error('--brief is no whole matrix to keep');
  const limitMinutes = Number(values.limit);
  if (!(limitMinutes >= 1 && limitMinutes <= MAX_MINUTES))
    throw new Error(`--limit: "${values.limit}" is no number from 1 to ${MAX_MINUTES}`);
  const named = (values.pair ?? [DEFAULT_PAIR]).map(find);
  return {
    help: values.help,
    list: values.list,
    pairs: values.all ? PAIRS : [...new Set(named)],
    brief: values.brief,
    limitMinutes,
    filters: values.filter,
    bypass: selectionOf(values),
    keepsBypass: values.write || values.resume,
    prepareOnly: values.prepare,
    refresh: values.refresh,
    ifPossible: values['if-possible'],
    keep: values.keep ?? null,
  };
}
