/** What scripts/bypass runs once the machine is set up; its usage is there. */
import { parseArgs } from 'node:util';
import { messageOf } from '../src/core/errors.ts';
import { contradictions } from '../test/support/bypass/declared.ts';
import { joined } from '../test/support/bypass/document.ts';
import { Field } from '../test/support/bypass/field.ts';
import { Keeper } from '../test/support/bypass/keeper.ts';
import { runMatrix } from '../test/support/bypass/matrix.ts';
import { ROWS } from '../test/support/bypass/rows.ts';
import type { Cell, MatrixResult } from '../test/support/bypass/types.ts';

const USAGE = 'usage: scripts/bypass [--write] [--only TEXT] [--verbose]\n';

function options(): { write: boolean; only: string | undefined; verbose: boolean } | null {
  try {
    const { values } = parseArgs({
      options: {
        write: { type: 'boolean', default: false },
        only: { type: 'string' },
        verbose: { type: 'boolean', default: false },
      },
    });
    return { ...values, only: values.only };
  } catch {
    return null;
  }
}

async function main(): Promise<number> {
  const given = options();
  if (given === null) {
    process.stderr.write(USAGE);
    return 2;
  }
  const { write, only, verbose } = given;
  const rows = ROWS.filter(({ name }) => only === undefined || name.includes(only));
  const field = await Field.open();
  try {
    const onStep = verbose ? (text: string): void => void process.stderr.write(`${text}\n`) : () => {};
    const keeper = new Keeper(only !== undefined);
    let known: Cell[] = [];
    const onCells = (news: MatrixResult): void => {
      known = joined(known, news.cells);
      if (write) keeper.take({ ...news, cells: known });
    };
    const result = await runMatrix(field, { rows, onStep, onCells }).finally(() => keeper.close());
    for (const { row, who, family, verdict, detail } of result.cells)
      process.stdout.write(`${[row, who, family, verdict, detail].join('\t')}\n`);
    const wrong = contradictions(result);
    for (const line of wrong) process.stderr.write(`${line}\n`);
    return wrong.length > 0 ? 1 : 0;
  } finally {
    await field.close();
  }
}

process.exitCode = await main().catch((error: unknown) => {
  const causes = error instanceof AggregateError ? error.errors.map(messageOf) : [];
  process.stderr.write(`scripts/bypass: ${[messageOf(error), ...causes].join('\n')}\n`);
  return 1;
});
