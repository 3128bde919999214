/** The command line of scripts/fuzz. */
import { parseArgs } from 'node:util';
import { messageOf } from '#src/core/errors.ts';

export const USAGE = `usage: scripts/fuzz [--seconds N] [--seed N] [--target NAME]… [--list]

  --seconds N    how long in all, 60 by default
  --seed N       the first seed; drawn and told otherwise
  --target NAME  only this one; may be given several times
  --path PATH    with one --target and --seed: exactly the input that was found there
  --list         the targets

What is found is made as small as it can be, and told with what finds it again.
Exit codes: 0 nothing was found, 1 something was, 2 wrong use.
`;

const SECONDS = 60;
const SECONDS_MAX = 86_400;

export type FuzzOptions =
  | {
      readonly kind: 'run';
      readonly seconds: number;
      /** Null: to be drawn. */
      readonly seed: number | null;
      readonly path: string | null;
      readonly targets: readonly string[];
    }
  | { readonly kind: 'help' | 'wrong'; readonly text: string };

/** @param names of all targets there are */
export function parseFuzzOptions(argv: readonly string[], names: readonly string[]): FuzzOptions {
  const wrong = (problem: string): FuzzOptions => ({
    kind: 'wrong',
    text: `scripts/fuzz: ${problem}\n${USAGE}`,
  });
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        seconds: { type: 'string' },
        seed: { type: 'string' },
        target: { type: 'string', multiple: true },
        path: { type: 'string' },
        list: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    if (values.help === true) return { kind: 'help', text: USAGE };
    if (values.list === true) return { kind: 'help', text: `${names.join('\n')}\n` };
    const seconds = values.seconds === undefined ? SECONDS : numberOf(values.seconds, SECONDS_MAX);
    if (seconds === null || seconds < 1) return wrong('--seconds: a whole number from 1 on');
    const seed = values.seed === undefined ? null : numberOf(values.seed, 2 ** 31 - 1);
    if (values.seed !== undefined && seed === null) return wrong('--seed: a whole number below 2^31');
    const targets = values.target ?? names;
    const unknown = targets.find((name) => !names.includes(name));
    if (unknown !== undefined) return wrong(`there is no target ${unknown}; there are ${names.join(', ')}`);
    if (values.path !== undefined && (targets.length !== 1 || seed === null))
      return wrong('--path goes with one --target and --seed');
    return { kind: 'run', seconds, seed, path: values.path ?? null, targets };
  } catch (error) {
    return wrong(messageOf(error));
  }
}

/** Seeds that fast-check tells may be negative. */
function numberOf(text: string, max: number): number | null {
  return /^-?\d{1,10}$/.test(text) && Math.abs(Number(text)) <= max ? Number(text) : null;
}
