/**
 * `sluice policy explain --statement`: what a text does, as the gate of statements reads it, and what rules and masks say to it. What
 * strict masks say depends on the database as well, of which nothing is known here.
 */
import { type ColumnName, type Operation, qualifiedName } from '../flow/operation.ts';
import { preparePolicy } from '../policy/decide.ts';
import { explainOperation, type OperationRuleExplanation } from '../policy/explain-operation.ts';
import { maskRules, masksDirection } from '../policy/masks.ts';
import { operationRules } from '../policy/operations.ts';
import type { CompiledPolicy, FlowQuestion } from '../policy/types.ts';
import type { Cli } from './cli.ts';
import { type Column, formatTable } from './table.ts';
import { painterFor, safeJson, safeText, widthOf } from './terminal.ts';

const COLUMNS: readonly Column[] = [
  { title: '' },
  { title: 'RULE', shrinkTo: 12 },
  { title: 'ACTION' },
  { title: 'FITS' },
  { title: 'WHY', shrinkTo: 20 },
];

interface Explained {
  readonly verb: string;
  readonly effects: readonly string[];
  readonly relations: readonly string[];
  readonly functions: readonly string[];
  readonly columns: readonly string[];
  readonly rules: readonly OperationRuleExplanation[];
}

/** @param flow what becomes of the flow itself, in a sentence */
export async function explainStatement(
  cli: Cli,
  policy: CompiledPolicy,
  question: FlowQuestion,
  flow: string,
  options: { readonly statement: string; readonly output: 'table' | 'json' },
): Promise<void> {
  const { classify } = await import('../protocols/postgres/classify.ts');
  const { loadParser } = await import('../protocols/postgres/parser.ts');
  const { strictMasks } = await import('../proxy/strict-masks.ts');
  await loadParser();
  const prepared = preparePolicy(policy);
  const holding = operationRules(prepared, question);
  const masks = maskRules(prepared, question);
  const text = Buffer.from(options.statement.replaceAll('\0', ''), 'utf8');
  const read = classify(text);
  const strict = strictMasks(masks, () => null);
  const operations = read.kind === 'operations' ? read.operations : [];
  const explained = operations.map((operation) => explainOne(policy, holding, operation));
  const verdict = verdictOf(read, explained, {
    rules: holding.length > 0,
    requests: masks.some((mask) => masksDirection(mask, 'requests')),
    responses: masks.some((mask) => masksDirection(mask, 'responses')),
    strict: strict !== null,
    denial: strict?.(text)?.message.replace(/^Sluice: /, '') ?? null,
  });
  if (options.output === 'json') {
    cli.stdout.write(`${safeJson({ question, flow, verdict, statements: explained })}\n`);
    return;
  }
  const painter = painterFor(cli.stdout, cli.env);
  const write = (line: string): void => void cli.stdout.write(`${line}\n`);
  write(safeText(`flow: ${flow}`));
  write(
    painter(
      safeText(verdict),
      verdict.startsWith('denied') ? 'red' : verdict.startsWith('held') ? 'yellow' : 'green',
    ),
  );
  for (const each of explained) {
    write(`\n${safeText(`${each.verb}: ${each.effects.join(', ')}`)}`);
    for (const what of ['relations', 'functions', 'columns'] as const)
      if (each[what].length > 0) write(safeText(`  ${what}: ${each[what].join(', ')}`));
    if (each.rules.length === 0) continue;
    const rows = each.rules.map(({ decisive, rule, action, fits, why }) => [
      decisive ? '*' : '',
      rule,
      action,
      fits ? 'yes' : 'no',
      why,
    ]);
    write('');
    cli.stdout.write(formatTable(COLUMNS, rows, widthOf(cli.stdout), painter));
  }
}

function explainOne(
  policy: CompiledPolicy,
  holding: Parameters<typeof explainOperation>[1],
  operation: Operation,
): Explained {
  return {
    verb: operation.verb,
    effects: [...operation.effects],
    relations: [...new Set(operation.relations.map(qualifiedName))],
    functions: [...new Set(operation.functions.map(qualifiedName))],
    columns: operation.columns.map(columnOf),
    rules: explainOperation(policy.operations, holding, operation),
  };
}

/** What there is for the flow. */
interface InForce {
  /** About operations. */
  readonly rules: boolean;
  /** Masks, by what they are for. */
  readonly requests: boolean;
  readonly responses: boolean;
  readonly strict: boolean;
  /** What a strict mask says where the database has what it means; null: nothing. */
  readonly denial: string | null;
}

function verdictOf(
  read: { readonly kind: string; readonly message?: string; readonly changesReading?: boolean },
  explained: readonly Explained[],
  { rules, requests, responses, strict, denial }: InForce,
): string {
  if (!rules && !requests && !strict) {
    const masked = responses ? '; what comes back is masked' : '';
    return `passed unread: no rule about operations holds for this flow${masked}`;
  }
  if (read.kind === 'syntax-error') return `denied: it is not understood: ${read.message ?? ''}`;
  if (read.kind === 'too-complex') return 'denied: it is too long, or nested too deeply, to be read';
  const decisive = explained.flatMap((each) => each.rules).filter((rule) => rule.decisive);
  // Several statements of one text are one message.
  const withIt = explained.length > 1 ? ', and all of the text with it' : '';
  const denied = decisive.find(({ action }) => action === 'deny');
  if (denied !== undefined) return `denied by rule ${denied.rule}${withIt}`;
  if (read.changesReading === true) return 'denied: it would change how statements are read';
  const [held] = decisive;
  const passed =
    held === undefined
      ? 'passed: no rule denies it'
      : `held by rule ${held.rule} until somebody approves it${withIt}`;
  const masked = requests
    ? '; values that masks find in it are masked, or it is denied where they cannot be'
    : '';
  if (denial === null) return `${passed}${masked}`;
  const byMask = `denied unless the database has nothing of what is meant: ${denial}`;
  return held === undefined ? byMask : `${passed}; then ${byMask}`;
}

function columnOf({ schema, table, column }: ColumnName): string {
  return [schema, table, column].filter((part) => part !== null).join('.');
}
