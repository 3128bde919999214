/** The command line of scripts/bench. */
import { parseArgs } from 'node:util';
import type { ContenderName, Effort, Placement, WorkloadName } from './types.ts';

export const CONTENDERS: readonly ContenderName[] = [
  'haproxy',
  'sluice',
  'sluice-inspect',
  'sluice-mask',
  'naive',
  'stunnel',
  'pgbouncer',
  'direct',
];

const PLACEMENTS: readonly Placement[] = ['apart', 'together', 'free'];

/** What `--only` takes, and the workloads it means. */
const GROUPS: Readonly<Record<string, readonly WorkloadName[]>> = {
  bulk: ['bulk'],
  requests: ['requests-16', 'requests-64'],
  connections: ['connections'],
  pgbench: ['pgbench', 'pgbench-prepared', 'pgbench-1'],
  rows: ['rows'],
  idle: ['idle'],
};
/** What connections cost by themselves: no contender takes part (connects/measure.ts). */
const CONNECTS = 'connects';
const NAMES = [...Object.keys(GROUPS), CONNECTS];

const MEBIBYTE = 1024 * 1024;
const FULL: Effort = {
  ...{ seconds: 5, warmUpSeconds: 2 },
  ...{ bulkBytes: 1024 * MEBIBYTE, idleFlows: 10_000, rows: 1_000_000, busyPollUs: 0, placement: 'apart' },
};
const QUICK: Effort = {
  ...{ seconds: 1, warmUpSeconds: 1 },
  ...{ bulkBytes: 128 * MEBIBYTE, idleFlows: 500, rows: 20_000, busyPollUs: 0, placement: 'apart' },
};
const FULL_ROUNDS = 5;
const QUICK_ROUNDS = 1;
/** Short ones, of differences that are small beside what else the machine does. */
const CONNECTS_PER_ROUND = 8;

export const USAGE = `usage: scripts/bench [OPTION...]

Measures the same work through Sluice and through others, interleaved, and prints medians and ratios.
Needs root. Takes about an hour, with --quick about two minutes.

  --quick               one short round, of ${CONNECTS} only if it is named: a look, not a result
  --rounds N            how often everything is measured (default ${FULL_ROUNDS})
  --only LIST           of: ${NAMES.join(', ')}
  --contenders LIST     of: ${CONTENDERS.slice(0, 4).join(', ')},
                        ${CONTENDERS.slice(4).join(', ')}
  --rows N              rows of the long result (default ${FULL.rows}, with --quick ${QUICK.rows})
  --busy-poll US        give it to Sluice's daemon (default 0)
  --placement HOW       apart: proxies on one processor, load and servers on another (default);
                        together: all on one; free: where the kernel puts them
  --json FILE           write samples and medians there
  --write FILE          put the tables between the markers of that Markdown file
  --from FILE           measure nothing: read what --json wrote
  --help

Exit code: 0 measured, 1 something failed, 2 wrong use, 130 interrupted.
`;

export interface Options {
  readonly help: boolean;
  readonly quick: boolean;
  readonly rounds: number;
  readonly workloads: readonly WorkloadName[];
  /** Rounds of `connects`; 0: not asked for. */
  readonly connectsRounds: number;
  readonly contenders: readonly ContenderName[];
  readonly effort: Effort;
  readonly json: string | null;
  readonly write: string | null;
  readonly from: string | null;
}

/** Members of `allowed` that a comma-separated list names, in the order of `allowed`. Throws on others. */
function pick<T extends string>(flag: string, list: string | undefined, allowed: readonly T[]): T[] {
  if (list === undefined) return [...allowed];
  const named = list.split(',').map((name) => name.trim());
  const wrong = named.find((name) => !allowed.some((one) => one === name));
  if (wrong !== undefined) throw new Error(`--${flag}: "${wrong}" is none of ${allowed.join(', ')}`);
  return allowed.filter((name) => named.includes(name));
}

function wholeNumber(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${flag}: a whole number from 1 is wanted`);
  return value;
}

function placementOf(text: string): Placement {
  const found = PLACEMENTS.find((one) => one === text);
  if (found === undefined) throw new Error(`--placement: "${text}" is none of ${PLACEMENTS.join(', ')}`);
  return found;
}

/** Throws an Error whose message says what is wrong with the arguments. */
export function parseOptions(argv: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      rows: { type: 'string' },
      'busy-poll': { type: 'string' },
      placement: { type: 'string', default: 'apart' },
      only: { type: 'string' },
      contenders: { type: 'string' },
      json: { type: 'string' },
      write: { type: 'string' },
      from: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const rounds = wholeNumber('rounds', values.rounds ?? String(values.quick ? QUICK_ROUNDS : FULL_ROUNDS));
  const usual = values.quick ? QUICK : FULL;
  const effort = {
    ...usual,
    ...(values.rows === undefined ? {} : { rows: wholeNumber('rows', values.rows) }),
    ...(values['busy-poll'] === undefined
      ? {}
      : { busyPollUs: wholeNumber('busy-poll', values['busy-poll']) }),
    placement: placementOf(values.placement),
  };
  const all = values.quick && values.only === undefined ? Object.keys(GROUPS) : NAMES;
  const groups = pick('only', values.only, all);
  return {
    help: values.help,
    quick: values.quick,
    rounds,
    workloads: groups.flatMap((group) => GROUPS[group] ?? []),
    connectsRounds: groups.includes(CONNECTS) ? rounds * (values.quick ? 1 : CONNECTS_PER_ROUND) : 0,
    contenders: pick('contenders', values.contenders, CONTENDERS),
    effort,
    json: values.json ?? null,
    write: values.write ?? null,
    from: values.from ?? null,
  };
}
