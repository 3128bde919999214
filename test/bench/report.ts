/** Shows results: a table for the terminal, one for Markdown, and the file both can be made from again. */
import type { Connects } from './connects/measure.ts';
import { connectsTables, type Table } from './connects/summary.ts';
import type { Row, Summary } from './summary.ts';
import type { ContenderName, Effort, Sample } from './types.ts';

export const REPORT_SCHEMA = 3;
export const MARK_BEGIN = '<!-- bench:begin -->';
export const MARK_END = '<!-- bench:end -->';

export interface Report {
  readonly schema: typeof REPORT_SCHEMA;
  /** Commit that was measured, with `-dirty` when the tree differed from it. */
  readonly commit: string;
  /** RFC 3339, UTC. */
  readonly time: string;
  readonly machine: { readonly cpu: string; readonly cpus: number; readonly kernel: string };
  readonly versions: Readonly<Record<string, string>>;
  readonly effort: Effort;
  readonly rounds: number;
  /** Contenders that did not take part, and why. */
  readonly absent: readonly { readonly contender: ContenderName; readonly why: string }[];
  readonly summaries: readonly Summary[];
  readonly samples: readonly Sample[];
  /** Not there in reports from before it was measured; null: it was not asked for. */
  readonly connects?: Connects | null;
}

const NOTHING = '–';

/** Three significant digits, without an exponent. */
function show(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return NOTHING;
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function showRatio(value: number | null): string {
  return value === null || !Number.isFinite(value) ? NOTHING : `${value.toFixed(2)}×`;
}

function milliseconds(microseconds: number | null): string {
  return show(microseconds === null ? null : microseconds / 1000);
}

function cells(row: Row): string[] {
  return [
    row.contender,
    show(row.cost),
    showRatio(row.costToBase),
    showRatio(row.costToNaive),
    show(row.rate),
    showRatio(row.rateToBase),
    milliseconds(row.p50Us),
    milliseconds(row.p99Us),
    row.addedUs === null ? NOTHING : row.addedUs.toFixed(0),
    String(row.errors),
  ];
}

function heads(summary: Summary): string[] {
  const cost = summary.workload === 'idle' ? 'memory' : 'CPU';
  const base = summary.base ?? 'base';
  return [
    '',
    `${cost} ${summary.costUnit}`,
    `to ${base}`,
    'to naive',
    summary.rateUnit,
    `to ${base}`,
    'p50 ms',
    'p99 ms',
    'added µs',
    'errors',
  ];
}

function tableOf(summary: Summary): Table {
  return { title: summary.title, lines: [heads(summary), ...summary.rows.map(cells)] };
}

function tablesOf(report: Report): Table[] {
  return [...report.summaries.map(tableOf), ...connectsTables(report.connects ?? null)];
}

/** Columns aligned for a terminal: the first to the left, numbers to the right. */
function terminalTable({ title, lines }: Table): string {
  const widths =
    lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? [];
  const pad = (cell: string, column: number): string =>
    column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
  return [title, ...lines.map((line) => `  ${line.map(pad).join('  ')}`.trimEnd())].join('\n');
}

export function terminalTables(report: Report): string[] {
  return tablesOf(report).map(terminalTable);
}

function markdownTable({ title, lines: [head = [], ...rows] }: Table): string {
  const line = (columns: readonly string[]): string => `| ${columns.join(' | ')} |`;
  const rule = head.map((_, column) => (column === 0 ? '---' : '---:'));
  return [`### ${title}`, '', line(head), line(rule), ...rows.map(line)].join('\n');
}

const PLACED = {
  together: 'All on one processor.',
  free: 'All on whichever processor the kernel puts them.',
};

/** Everything that stands between the markers. */
export function markdown(report: Report): string {
  const { machine, effort } = report;
  const versions = Object.entries(report.versions).map(([name, version]) => `${name} ${version}`);
  const facts = [
    `Commit \`${report.commit}\`, ${report.time.slice(0, 10)}; ${machine.cpus} × ${machine.cpu}, Linux ${machine.kernel};`,
    `${versions.join(', ')}.`,
    `Medians of ${report.rounds} ${report.rounds === 1 ? 'round' : 'rounds'}: ${effort.seconds} s per run,`,
    `${(effort.bulkBytes / 2 ** 30).toFixed(2)} GiB per download, ${effort.rows} rows, ${effort.idleFlows} idle flows.`,
    ...(effort.placement === 'apart' ? [] : [PLACED[effort.placement]]),
    ...(effort.busyPollUs > 0 ? [`Workers of Sluice with \`--busy-poll ${effort.busyPollUs}\`.`] : []),
  ];
  const absent = report.absent.map(({ contender, why }) => `Not taking part: ${contender} (${why}).`);
  return [facts.join('\n'), ...absent, ...tablesOf(report).map(markdownTable)].join('\n\n');
}

/** The document with what is between its markers replaced. Throws when it has no such place. */
export function insertBetweenMarks(document: string, text: string): string {
  const begin = document.indexOf(MARK_BEGIN);
  const end = document.indexOf(MARK_END);
  if (begin < 0 || end < begin) throw new Error(`no ${MARK_BEGIN} … ${MARK_END} to write between`);
  return `${document.slice(0, begin + MARK_BEGIN.length)}\n\n${text}\n\n${document.slice(end)}`;
}
