/** `sluice policy explain --statement`: what a text does, as the gate of statements reads it, and what each rule says to it. */
import { type ColumnName, type Operation, qualifiedName } from '../flow/operation.ts';
import { preparePolicy } from '../policy/decide.ts';
import { explainOperation, type OperationRuleExplanation } from '../policy/explain-operation.ts';
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
  await loadParser();
  const holding = operationRules(preparePolicy(policy), question);
  const read = classify(Buffer.from(options.statement.replaceAll('\0', ''), 'utf8'));
  const operations = read.kind === 'operations' ? read.operations : [];
  const explained = operations.map((operation) => explainOne(policy, holding, operation));
  const verdict = verdictOf(holding.length, read, explained);
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

function verdictOf(
  rules: number,
  read: { readonly kind: string; readonly message?: string; readonly changesReading?: boolean },
  explained: readonly Explained[],
): string {
  if (rules === 0) return 'passed unread: no rule about operations holds for this flow';
  if (read.kind === 'syntax-error') return `denied: it is not understood: ${read.message ?? ''}`;
  if (read.kind === 'too-complex') return 'denied: it is too long, or nested too deeply, to be read';
  const decisive = explained.flatMap((each) => each.rules).filter((rule) => rule.decisive);
  // Several statements of one text are one message.
  const withIt = explained.length > 1 ? ', and all of the text with it' : '';
  const denied = decisive.find(({ action }) => action === 'deny');
  if (denied !== undefined) return `denied by rule ${denied.rule}${withIt}`;
  if (read.changesReading === true) return 'denied: it would change how statements are read';
  const [held] = decisive;
  if (held !== undefined) return `held by rule ${held.rule} until somebody approves it${withIt}`;
  return 'passed: no rule denies it';
}

function columnOf({ schema, table, column }: ColumnName): string {
  return [schema, table, column].filter((part) => part !== null).join('.');
}
