/** What scripts/bench runs once the machine is set up: see test/bench/options.ts for its usage. */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { messageOf } from '../src/core/errors.ts';
import { type Options, parseOptions, USAGE } from '../test/bench/options.ts';
import { run } from '../test/bench/process.ts';
import {
  insertBetweenMarks,
  markdown,
  REPORT_SCHEMA,
  type Report,
  terminalTable,
} from '../test/bench/report.ts';
import { measureAll } from '../test/bench/runner.ts';
import { startServers } from '../test/bench/servers.ts';
import { summarize } from '../test/bench/summary.ts';
import { makeWorld } from '../test/bench/world.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;

function progress(text: string): void {
  const now = new Date().toISOString().slice(11, 19);
  process.stderr.write(`${now} ${text}\n`);
}

function commit(): string {
  const directory = new URL('..', import.meta.url).pathname;
  return run([
    'git',
    '-C',
    directory,
    'describe',
    '--always',
    '--dirty',
    '--abbrev=12',
    '--exclude=*',
  ]).trim();
}

function debianVersion(name: string): string {
  return run(['dpkg-query', '-W', '-f', `\${Version}`, name]);
}

function versions(): Record<string, string> {
  const packages = {
    haproxy: 'haproxy',
    stunnel: 'stunnel4',
    pgbouncer: 'pgbouncer',
    nginx: 'nginx-light',
    OpenSSL: 'libssl3',
  };
  const found = Object.entries(packages).map(([name, of]) => [name, debianVersion(of)]);
  return {
    node: process.versions.node,
    'OpenSSL in node': process.versions.openssl,
    ...Object.fromEntries(found),
  };
}

async function measure(options: Options, signal: AbortSignal): Promise<Report> {
  await using world = makeWorld(signal);
  progress('starting the servers');
  await using _servers = await startServers(
    world,
    options.effort.bulkBytes,
    options.workloads.includes('pgbench'),
  );
  const { samples, absent } = await measureAll(world, options, progress);
  return {
    schema: REPORT_SCHEMA,
    commit: commit(),
    time: new Date().toISOString(),
    machine: { cpu: cpus()[0]?.model ?? 'unknown', cpus: cpus().length, kernel: release() },
    versions: versions(),
    effort: options.effort,
    rounds: options.rounds,
    absent,
    summaries: summarize(samples),
    samples,
  };
}

function readReport(path: string): Report {
  const report = JSON.parse(readFileSync(path, 'utf8')) as Report;
  if (report.schema !== REPORT_SCHEMA) throw new Error(`${path}: not a report of this version`);
  return report;
}

function publish(report: Report, options: Options): void {
  process.stdout.write(`${report.summaries.map(terminalTable).join('\n\n')}\n`);
  for (const { contender, why } of report.absent)
    process.stderr.write(`\nnot taking part: ${contender}: ${why}\n`);
  if (options.json !== null) writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
  if (options.write !== null) {
    const document = readFileSync(options.write, 'utf8');
    writeFileSync(options.write, insertBetweenMarks(document, markdown(report)));
  }
}

async function main(): Promise<number> {
  let options: Options;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`bench: ${messageOf(error)}\n\n${USAGE}`);
    return EXIT_USAGE;
  }
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => interrupted.abort());
  }
  try {
    const report =
      options.from === null ? await measure(options, interrupted.signal) : readReport(options.from);
    publish(report, options);
    return report.absent.length === 0 ? 0 : EXIT_FAILED;
  } catch (error) {
    if (interrupted.signal.aborted) {
      process.stderr.write('bench: interrupted; everything it had started is gone\n');
      return EXIT_INTERRUPTED;
    }
    process.stderr.write(`bench: ${messageOf(error)}\n`);
    return EXIT_FAILED;
  }
}

process.exitCode = await main();
