/**
 * psql: what every command that talks to the server prints is the same through Sluice, under rules and masks that match
 * nothing, as it is without.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { must } from '#test/support/command.ts';
import { POSTGRES } from '#test/support/postgres.ts';
import { SqlField, type Way } from '#test/support/sql-field.ts';

t.setTimeout(1_000_000);
const field = await SqlField.open();
t.teardown(() => field.close());

const fixture = (name: string): string =>
  readFileSync(join(import.meta.dirname, '../fixtures/postgres', name), 'utf8');

/** What is another number or size each time. */
const CHANGING: [pattern: RegExp, instead: string][] = [
  [/(server process with PID) \d+/, '$1 N'],
  [/^(lo_import|lo_unlink) \d+$/gm, '$1 N'],
  [/^ \d+ (\| app )/gm, ' N $1'],
  [/\b\d+ (bytes|kB)\b/g, 'N $1'],
  [/^.* 20\d\d \(every 0\.1s\)$/gm, 'TIME (every 0.1s)'],
  [/^SSL connection .*\n/gm, ''],
  // Pages are counted as autovacuum comes by.
  [/^(.*(?:"fleeting"|fleeting).*): .*pages.*$/gm, '$1'],
];

function settled(output: string): string {
  return CHANGING.reduce((text, [pattern, instead]) => text.replace(pattern, instead), output);
}

/** A database as new, then the script; what is printed, and the files it makes. */
async function run(way: Way, script: string): Promise<Record<string, string>> {
  const dir = field.dir();
  const made = await field.run(
    'direct',
    ['psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', field.file(fixture('psql-objects.sql'))],
    { env: { PGOPTIONS: '-c client_min_messages=error' } },
  );
  t.equal(made.stderr, '');
  const path = join(dir, 'script.sql');
  writeFileSync(path, script, { mode: 0o644 });
  writeFileSync(join(dir, 'INCLUDED.sql'), "select 'included';\n", { mode: 0o644 });
  // \password reads the new one twice.
  const ran = await field.run(way, ['psql', '-X', '-f', path], {
    cwd: dir,
    input: `${POSTGRES.password}\n${POSTGRES.password}\n`,
  });
  const files = readdirSync(dir).filter((name) => name.startsWith('COPY'));
  return {
    out: settled(ran.stdout),
    err: settled(ran.stderr.replaceAll(path, 'script.sql')),
    code: String(ran.code),
    ...Object.fromEntries(files.map((name) => [name, readFileSync(join(dir, name), 'latin1')])),
  };
}

/** Names of commands, where a line begins with one or a query ends in it. */
const commands = (text: string): string[] => [...new Set(text.match(/(?<=^|\s)\\[a-z_!]+[+S]?/gm))];

async function compare(t: Test, script: string): Promise<Record<string, string>> {
  const direct = await run('direct', script);
  const quiet = await run('quiet', script);
  for (const [name, content] of Object.entries(direct)) t.equal(quiet[name], content, name);
  return direct;
}

const script = fixture('psql-commands.sql');
t.test(`${commands(script).length} commands of psql print the same`, async (t) => {
  const direct = await compare(t, script);
  t.ok((direct['out'] ?? '').length > 50_000);
  t.match(direct['err'], /no_such_database/, 'it came to the end of the script');
  t.notMatch(direct['err'], /invalid command/);
  t.strictSame(Object.keys(direct), ['out', 'err', 'code', 'COPY.bin', 'COPY.csv', 'COPY.lo', 'COPY.txt']);
  t.equal(direct['COPY.lo'], direct['COPY.txt'], 'a large object went there and back');
});

const version = Number(/\d+/.exec(await must(['psql', '--version'])));
for (const since of [16, 18]) {
  const later = fixture(`psql-commands-${since}.sql`);
  const skip = version < since && `this psql is ${version}`;
  t.test(`${commands(later).join(' ')} print the same`, { skip }, async (t) => {
    const direct = await compare(t, later);
    t.notMatch(direct['err'], /invalid command/);
  });
}

t.test('what code says is withheld where masks name columns, and else is the same', async (t) => {
  const raises = `\\set SHOW_CONTEXT always
    do $$ begin raise notice 'hello %', 1; raise warning 'careful' using hint = 'a hint', detail = 'a detail'; end $$;
    \\errverbose
    do $$ begin raise exception 'no' using errcode = '22000', hint = 'a hint'; end $$;
    \\errverbose
    select 'still here';`;
  const quiet = await field.psql('quiet', raises);
  t.match(quiet, { stdout: 'still here\n', stderr: /NOTICE: {2}withheld by Sluice/ });
  t.notMatch(quiet.stderr, /hello|careful|a detail|a hint/);
});

t.test('a denied statement leaves every way of asking usable', async (t) => {
  const done = await field.psql(
    'masked',
    `create temp table kept (a int); insert into kept values (1);
     select format('truncate %I', tablename) from pg_tables where tablename = 'kept' \\gexec
     truncate kept \\gdesc
     truncate kept \\gset
     truncate kept \\crosstabview
     truncate kept \\watch 0.1
     \\set FETCH_COUNT 1
     truncate kept;
     \\unset FETCH_COUNT
     \\copy (select 1) to program 'cat >&2'
     \\set ON_ERROR_ROLLBACK on
     begin; insert into kept values (2);
     truncate kept;
     \\errverbose
     insert into kept values (3); commit;
     select a from kept order by a;`,
  );
  t.match(done.stdout, /^\n*1\n2\n3\n$/, done.stderr);
  t.equal(done.stderr.match(/ERROR: {2}Sluice: TRUNCATE is denied/g)?.length, 7, done.stderr);
  t.match(
    done.stderr,
    /ERROR: {2}42501: Sluice: TRUNCATE is denied by rule "no-destruction"/,
    '\\errverbose',
  );
});
