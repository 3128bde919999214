/** `sluice status`: whether agents are governed now, and by what. Without a daemon: what is still in force. */
import type { Command } from 'commander';
import type { DenialStatus, ProgramStatus, Status } from '../api/types.ts';
import { SluiceError } from '../core/errors.ts';
import { type Cli, clientFor, outputOption, pinDirOption, runtimeDirOption } from './cli.ts';
import { EXIT_FAILURE, EXIT_NOT_RUNNING, EXIT_OK } from './exit-codes.ts';
import { type Health, healthOf } from './health.ts';
import { printError } from './report-error.ts';
import { type Column, formatTable } from './table.ts';
import { type Paint, type Painter, painterFor, safeJson, safeText, widthOf } from './terminal.ts';
import { formatBytes, formatTime } from './units.ts';

interface StatusOptions {
  readonly runtimeDir: string;
  readonly pinDir: string;
  readonly output: 'table' | 'json';
}

export function registerStatus(program: Command, cli: Cli): void {
  program
    .command('status')
    .description('show whether agents are governed, and by what')
    .addOption(outputOption())
    .addOption(runtimeDirOption())
    .addOption(pinDirOption())
    .addHelpText(
      'after',
      `
Examples:
  sluice status
  sluice status --output json | jq .reasons

Exit codes: 0 enforcing, 1 degraded or not enforcing, 3 the daemon is not running.`,
    )
    .action(async (options: StatusOptions) => {
      cli.exitCode = await showStatus(cli, options);
    });
}

async function showStatus(cli: Cli, options: StatusOptions): Promise<number> {
  let status: Status;
  try {
    status = await clientFor(options).status();
  } catch (error) {
    if (error instanceof SluiceError && error.code === 'NOT_RUNNING') return showPins(cli, options, error);
    throw error;
  }
  if (options.output === 'json') cli.stdout.write(`${safeJson({ running: true, ...status })}\n`);
  else cli.stdout.write(formatStatus(status, widthOf(cli.stdout), painterFor(cli.stdout, cli.env)));
  return healthOf(status).state === 'enforcing' ? EXIT_OK : EXIT_FAILURE;
}

async function showPins(cli: Cli, options: StatusOptions, error: SluiceError): Promise<number> {
  const pins = await cli.parts.describePins(options.pinDir);
  if (options.output === 'json') {
    cli.stdout.write(`${safeJson({ running: false, programs: pins ?? [] })}\n`);
    return EXIT_NOT_RUNNING;
  }
  printError(cli.stderr, error.message, error.hint);
  if (pins === null) {
    cli.stdout.write('Nothing is pinned: no process is governed.\n');
  } else {
    const painter = painterFor(cli.stdout, cli.env);
    const effective = pins.filter((program) => program.effective).length;
    cli.stdout.write(
      `${effective} of ${pins.length} programs stay in force: agents they know cannot connect until the daemon runs again.\n\n`,
    );
    cli.stdout.write(formatPrograms(pins, widthOf(cli.stdout), painter));
  }
  return EXIT_NOT_RUNNING;
}

/** Everything, as text of whole lines. */
function formatStatus(status: Status, width: number | null, painter: Painter): string {
  const lines = summary(status, painter).map(([name, text]) => `${name.padEnd(10)} ${text}\n`);
  return [
    ...lines,
    ...healthOf(status).reasons.map((reason) => `  ${painter('!', 'yellow')} ${safeText(reason)}\n`),
    '\n',
    formatPrograms(status.programs, width, painter),
    '\n',
    formatTable(LISTENER_COLUMNS, listenerRows(status.listeners), width, painter),
    '\n',
    formatTable(WORKER_COLUMNS, status.workers.map(workerRow), width, painter),
    ...status.draining.map(drainingText),
    ...formatDenials(status.denials, width, painter),
    ...formatTables(status.tables, width, painter),
  ].join('');
}

function summary(status: Status, painter: Painter): [string, string][] {
  const { policy, ledger, rings, store, selfTest } = status;
  const [state, paint] = STATE_TEXT[healthOf(status).state];
  const test =
    selfTest === null ? 'not run yet' : `${selfTest.ok ? 'ok' : 'FAILED'} at ${formatTime(selfTest.at)}`;
  const lost = (name: string, lostCount: number, received: number): string =>
    `${name} ${received} received, ${painter(`${lostCount} lost`, lostCount > 0 ? 'yellow' : null)}`;
  return [
    [
      'sluice',
      `${painter(state, paint)}, version ${status.version}, pid ${status.pid}, since ${formatTime(status.startedAt)}`,
    ],
    ['tier', safeText(status.tierReason === null ? status.tier : `${status.tier}; ${status.tierReason}`)],
    ['policy', `${policy.revision} from ${safeText(policy.path)}, loaded ${formatTime(policy.loadedAt)}`],
    ['self-test', `${test}${selfTest === null ? '' : `: ${safeText(selfTest.detail)}`}`],
    [
      'flows',
      `${ledger.open} open, ${ledger.allowed} allowed, ${ledger.denied} denied, ${ledger.errors} failed, ${ledger.lost} without report`,
    ],
    ['holds', holdsText(status.holds)],
    [
      'events',
      `${lost('flow:', rings.flow.lost, rings.flow.received)}; ${lost('deny:', rings.deny.lost, rings.deny.received)}`,
    ],
    ['store', storeText(store, painter)],
    ['counted', countersText(status.counters)],
  ];
}

function holdsText({ waiting, oldestSeconds, ended }: Status['holds']): string {
  const oldest = oldestSeconds === null ? '' : `, the oldest since ${Math.round(oldestSeconds)} s`;
  const others = ended.filter(({ count }) => count > 0).map(({ outcome, count }) => `, ${count} ${outcome}`);
  return `${waiting} waiting${oldest}${others.join('')}`;
}

function drainingText({ number, pid, openFlows, until }: Status['draining'][number]): string {
  return `worker ${number} was replaced: process ${pid} carries ${openFlows} flows to their end, until ${formatTime(until)}\n`;
}

/** What is not zero: the rest says nothing. */
function countersText(counters: Status['counters']): string {
  const counted = Object.entries(counters).filter(([, count]) => count !== 0);
  if (counted.length === 0) return 'nothing else';
  return counted.map(([name, count]) => `${safeText(name)} ${count}`).join(', ');
}

const STATE_TEXT: Readonly<Record<Health['state'], readonly [string, Paint]>> = {
  enforcing: ['enforcing', 'green'],
  degraded: ['degraded', 'yellow'],
  'not enforcing': ['NOT ENFORCING', 'red'],
};

function storeText(store: Status['store'], painter: Painter): string {
  const state = store.ok ? 'ok' : painter(`FAILED: ${safeText(store.error ?? 'unknown')}`, 'red');
  return `${state}, ${store.rows} rows, ${formatBytes(store.bytes)}, ${store.dropped} dropped, ${safeText(store.path)}`;
}

const yesNo = (cell: string): Paint | null => (cell === 'no' ? 'red' : null);

const PROGRAM_COLUMNS: readonly Column[] = [
  { title: 'PROGRAM', shrinkTo: 12 },
  { title: 'ATTACHED TO', shrinkTo: 12, dropOrder: 2 },
  { title: 'EFFECTIVE', paint: yesNo },
  { title: 'PINNED', paint: yesNo },
];

function formatPrograms(programs: readonly ProgramStatus[], width: number | null, painter: Painter): string {
  const rows = programs.map(({ name, attachType, effective, pinned }) => [
    name,
    attachType,
    effective ? 'yes' : 'no',
    pinned ? 'yes' : 'no',
  ]);
  return formatTable(PROGRAM_COLUMNS, rows, width, painter);
}

const DENIAL_COLUMNS: readonly Column[] = [
  { title: 'AGENT', shrinkTo: 8 },
  { title: 'REFUSED TECHNIQUE', shrinkTo: 12 },
  { title: 'TIMES', align: 'right' },
];
/** The rest is in the JSON. */
const DENIALS_SHOWN = 20;

function formatDenials(denials: readonly DenialStatus[], width: number | null, painter: Painter): string[] {
  if (denials.length === 0) return [];
  const rows = denials
    .slice(0, DENIALS_SHOWN)
    .map(({ agent, technique, count }) => [agent, technique, String(count)]);
  const more = denials.length - rows.length;
  return [
    '\n',
    formatTable(DENIAL_COLUMNS, rows, width, painter),
    ...(more > 0 ? [`and ${more} more: --output json\n`] : []),
  ];
}

const TABLE_COLUMNS: readonly Column[] = [
  { title: 'FULL TABLE', shrinkTo: 10 },
  { title: 'ROOM FOR', align: 'right' },
  { title: 'REFUSED', align: 'right', paint: () => 'yellow' },
];

/** Those that have been full; the others are in the JSON. */
function formatTables(tables: Status['tables'], width: number | null, painter: Painter): string[] {
  const full = tables.filter(({ refused }) => refused !== null && refused > 0);
  if (full.length === 0) return [];
  const rows = full.map(({ name, size, refused }) => [name, String(size), String(refused)]);
  return ['\n', formatTable(TABLE_COLUMNS, rows, width, painter)];
}

const LISTENER_COLUMNS: readonly Column[] = [
  { title: 'LISTENER', shrinkTo: 12 },
  { title: 'PORTS', shrinkTo: 12 },
  { title: 'NAMESPACE', shrinkTo: 8 },
];

/** One for each address, with all its ports. */
function listenerRows(listeners: Status['listeners']): string[][] {
  const rows = new Map<string, string[]>();
  for (const { ip, port, netns } of listeners) {
    const known = rows.get(`${ip} ${netns}`);
    rows.set(`${ip} ${netns}`, [ip, known === undefined ? String(port) : `${known[1]} ${port}`, netns]);
  }
  return [...rows.values()];
}

const WORKER_COLUMNS: readonly Column[] = [
  { title: 'WORKER', align: 'right' },
  { title: 'PID', align: 'right' },
  { title: 'OPEN', align: 'right' },
  { title: 'ACCEPTED', align: 'right' },
  { title: 'REFUSED', align: 'right' },
  { title: 'RESTARTS', align: 'right', dropOrder: 1 },
];

function workerRow(worker: Status['workers'][number]): string[] {
  const { number, pid, openFlows, accepted, refused, restarts } = worker;
  return [number, pid ?? 'starting', openFlows, accepted, refused, restarts].map(String);
}
