/**
 * PostgreSQL's own regression tests as psql sends them, and of each statement what Sluice says it does beside what a real server says:
 * whether it is SQL, and whether it is refused where nothing may be written (SQLSTATE 25006). Without kernel plane and TLS.
 *
 * Their source is Debian's, got once (test/support/regression/source.ts); where it cannot be had nothing is tried, and the reason said.
 */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Effect, Operation } from '#src/flow/operation.ts';
import { classify } from '#src/protocols/postgres/classify.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';
import { run } from '#test/support/command.ts';
import { patience } from '#test/support/patience.ts';
import { Judge, type Judged } from '#test/support/regression/judge.ts';
import { regressionSource, schedule } from '#test/support/regression/source.ts';
import { ScratchPostgres } from '#test/support/scratch-postgres.ts';
import { CannotRun } from '#test/vm/cannot.ts';

t.setTimeout(900_000 * patience);
await loadParser();

/** They outlive the transaction in which they would be tried, or end it. */
const NOT_TRIED: ReadonlySet<string> = new Set(['TRANSACTION', 'PREPARE', 'DEALLOCATE', 'DISCARD', 'LOAD']);
const ENDS_ITS_TRIAL =
  /^\s*(?:begin|start|commit|end|rollback|abort|prepare|savepoint|release|deallocate)\b/i;
/** Of them none changes what is there. */
const HARMLESS: ReadonlySet<Effect> = new Set(['read']);
/** Scripts that are run at a time, of those that may be. */
const AT_ONCE = 4;
/** One that waits for another, or is slow on a busy machine, is cut short. */
const SCRIPT_TIMEOUT_MS = 60_000;

function mayTry(text: string): boolean {
  const read = classify(Buffer.from(text));
  if (read.kind !== 'operations') return !ENDS_ITS_TRIAL.test(text);
  return !read.operations.some(({ verb }) => NOT_TRIED.has(verb));
}

/** What the fixture says of errors, quoted parts and numbers left out. */
function inGeneral(message: string): string {
  return message
    .replace(/"[^"]*"/g, '""')
    .replace(/\d+/g, 'N')
    .replace(/\s+/g, ' ');
}

function saidOf({ said, readOnly }: Judged): string | null {
  if (said?.sqlState === '42601') return said.message;
  return readOnly?.sqlState === '42601' ? readOnly.message : null;
}

const source = await regressionSource().catch((error: Error) => {
  if (error instanceof CannotRun) return error;
  throw error;
});
const skip = source instanceof CannotRun && `PostgreSQL's regression tests cannot be had: ${source.message}`;

t.test('PostgreSQL’s regression tests', { skip }, async (t) => {
  if (source instanceof CannotRun) return;
  const server = await ScratchPostgres.start({ log_min_messages: 'log', autovacuum: 'off', jit: 'off' });
  t.teardown(() => server.stop());
  const dir = mkdtempSync('/tmp/sluice-regression-');
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  mkdirSync(join(dir, 'results'));
  for (const path of [dir, join(dir, 'results')]) chmodSync(path, 0o777);
  const judge = await Judge.start(dir, server.socket, mayTry);
  t.teardown(() => judge.stop());
  await server.psql('create database regression template template0;');
  const cutShort = await runAll(source, dir);
  const own = new Set(
    (
      await server.psql(
        "select distinct proname from pg_catalog.pg_proc where pronamespace = 'pg_catalog'::regnamespace and oid < 16384;",
      )
    ).stdout.split('\n'),
  );

  const listed = readFileSync(join(import.meta.dirname, '../fixtures/postgres/regression.txt'), 'utf8');
  const known = new Set(listed.split('\n').filter((line) => line !== '' && !line.startsWith('#')));
  const taken = judge.judged.filter(({ otherwise }) => !otherwise);
  const counts = { neither: 0, onlyHere: 0, onlyThere: 0, refused: 0, byFunctions: 0 };
  const unlisted = new Set<string>();
  for (const each of taken) {
    const read = classify(each.text);
    const sql = each.text.toString('utf8').replace(/\s+/g, ' ').slice(0, 200);
    const there = saidOf(each);
    if (read.kind === 'too-complex') t.fail(`too complex: ${sql}`);
    if (read.kind === 'syntax-error') {
      counts[there === null ? 'onlyHere' : 'neither'] += 1;
      if (there === null) unlisted.add(`here: ${inGeneral(read.message)}`);
      // What no server runs is denied at no cost.
      if (there === null && each.said === null) t.fail(`refused here and run there: ${sql}`);
    }
    if (read.kind !== 'operations') continue;
    if (there !== null) {
      counts.onlyThere += 1;
      unlisted.add(`there: ${inGeneral(there)}`);
    }
    const isWrite = each.readOnly?.sqlState === '25006';
    if (isWrite) counts.refused += 1;
    if (!isWrite && !each.tookNumber) continue;
    if (read.operations.some(({ effects }) => [...effects].some((effect) => !HARMLESS.has(effect)))) continue;
    // What a function does inside the server is not seen: that it is called is.
    if (read.operations.some((operation) => callsOthers(operation, own))) counts.byFunctions += 1;
    else
      unlisted.add(
        `read: ${each.readOnly === null ? 'took a number' : inGeneral(each.readOnly.message)}: ${sql}`,
      );
  }
  t.comment(
    `${judge.judged.length} statements: ${taken.length} compared, ${judge.judged.length - taken.length} under settings in which ` +
      `none is read; ${judge.others} messages of the extended protocol left out; ${cutShort.length} scripts cut short ` +
      `(${cutShort}); no SQL to either ${counts.neither}, to Sluice alone ${counts.onlyHere}, to the server alone ${counts.onlyThere}; ` +
      `refused as writes ${counts.refused}; ${counts.byFunctions} wrote by what a function does`,
  );
  t.ok(taken.length >= 25_000, 'they were run');
  t.ok(counts.refused >= 9_000, 'and judged');
  t.strictSame(
    [...unlisted].filter((line) => !known.has(line)).sort(),
    [],
    'there is no difference but those that are known (test/fixtures/postgres/regression.txt)',
  );
});

/** All scripts, in their order. @returns which were cut short */
async function runAll(from: string, dir: string): Promise<string[]> {
  const env = {
    PGHOST: dir,
    PGUSER: 'postgres',
    PGDATABASE: 'regression',
    PGSSLMODE: 'disable',
    PGGSSENCMODE: 'disable',
    PGTZ: 'PST8PDT',
    PGDATESTYLE: 'Postgres, MDY',
    PGOPTIONS: '-c intervalstyle=postgres_verbose -c statement_timeout=20s -c lock_timeout=4s',
    PG_ABS_SRCDIR: from,
    PG_ABS_BUILDDIR: dir,
    PG_LIBDIR: '/nonexistent',
    PG_DLSUFFIX: '.so',
  };
  const cutShort: string[] = [];
  const script = async (name: string): Promise<void> => {
    const file = join(from, 'sql', `${name}.sql`);
    const argv = ['psql', '-Xq', '-v', 'HIDE_TABLEAM=on', '-v', 'HIDE_TOAST_COMPRESSION=on', '-f', file];
    const { timedOut } = await run(argv, { env, cwd: dir, timeoutMs: SCRIPT_TIMEOUT_MS });
    if (timedOut) cutShort.push(name);
  };
  for (const group of schedule(from)) {
    const waiting = [...group];
    const next = async (): Promise<void> => {
      for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) await script(name);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, next));
  }
  return cutShort;
}

/** Whether it calls, or may call, a function that is none of PostgreSQL's own. FETCH runs what was declared before. */
function callsOthers({ verb, functions }: Operation, own: ReadonlySet<string>): boolean {
  return verb === 'FETCH' || functions.some(({ name }) => !own.has(name));
}
