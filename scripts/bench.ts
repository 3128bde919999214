/** What scripts/bench runs once the machine is set up: see test/bench/options.ts for its usage. */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { messageOf } from '../src/core/errors.ts';
import { measureConnects } from '../test/bench/connects/measure.ts';
import { type Options, parseOptions, USAGE } from '../test/bench/options.ts';
import {
  insertBetweenMarks,
  markdown,
  REPORT_SCHEMA,
  type Report,
  terminalTables,
} from '../test/bench/report.ts';
import { measureAll, needsPostgres } from '../test/bench/runner.ts';
import { startServers } from '../test/bench/servers.ts';
import { summarize } from '../test/bench/summary.ts';
import { openBenchWorld } from '../test/bench/world.ts';
import { must } from '../test/support/command.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

function progress(text: string): void {
  const now = new Date().toISOString().slice(11, 19);
  process.stderr.write(`${now} ${text}\n`);
}

async function commit(): Promise<string> {
  const argv = [
    'git',
    '-C',
    import.meta.dirname,
    'describe',
    '--always',
    '--dirty',
    '--abbrev=12',
    '--exclude=*',
  ];
  return (await must(argv)).trim();
}

async function versions(): Promise<Record<string, string>> {
  const packages = {
    haproxy: 'haproxy',
    stunnel: 'stunnel4',
    pgbouncer: 'pgbouncer',
    nginx: 'nginx-light',
    openssl: 'libssl3',
  };
  const found: Record<string, string> = {
    node: process.versions.node,
    'openssl in node': process.versions.openssl,
  };
  for (const [name, of] of Object.entries(packages)) {
    found[name] = await must(['dpkg-query', '-W', '-f', `\${Version}`, of]);
  }
  return found;
}

async function measure(options: Options): Promise<Report> {
  // Before anything is measured: the tree may be worked on meanwhile.
  const measured = await commit();
  const world = await openBenchWorld(options.effort);
  try {
    if (options.workloads.length > 0) {
      progress('starting the servers');
      await startServers(world, options.effort.bulkBytes, options.workloads.some(needsPostgres));
    }
    const { samples, absent } = await measureAll(world, options, progress);
    const connects =
      options.connectsRounds > 0 ? await measureConnects(world, options.connectsRounds, progress) : null;
    return {
      schema: REPORT_SCHEMA,
      commit: measured,
      time: new Date().toISOString(),
      machine: { cpu: cpus()[0]?.model ?? 'unknown', cpus: cpus().length, kernel: release() },
      versions: await versions(),
      effort: options.effort,
      rounds: options.rounds,
      absent,
      summaries: summarize(samples),
      samples,
      connects,
    };
  } finally {
    await world.world.close();
  }
}

function readReport(path: string): Report {
  const report = JSON.parse(readFileSync(path, 'utf8')) as Report;
  if (report.schema !== REPORT_SCHEMA) throw new Error(`${path}: not a report of this version`);
  return report;
}

function publish(report: Report, options: Options): void {
  process.stdout.write(`${terminalTables(report).join('\n\n')}\n`);
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
  try {
    const report = options.from === null ? await measure(options) : readReport(options.from);
    publish(report, options);
    return report.absent.length === 0 ? 0 : EXIT_FAILED;
  } catch (error) {
    process.stderr.write(`bench: ${messageOf(error)}\n`);
    return EXIT_FAILED;
  }
}

process.exitCode = await main();
