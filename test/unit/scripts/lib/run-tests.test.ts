import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { type Finished, run } from '#test/support/command.ts';

const RUN_TESTS = join(import.meta.dirname, '../../../../scripts/lib/run-tests.ts');
const dir = mkdtempSync(join(tmpdir(), 'sluice-run-tests-'));
t.teardown(() => rmSync(dir, { recursive: true }));

const runTests = (...args: readonly string[]): Promise<Finished> =>
  run([process.execPath, RUN_TESTS, ...args]);
const lastLine = ({ stdout }: Finished): string | undefined => stdout.trimEnd().split('\n').at(-1);

/** A test file that writes these lines of TAP. */
function file(name: string, ...lines: readonly string[]): string {
  const path = join(dir, `${name}.test.ts`);
  const text = ['TAP version 14', ...lines, ''].join('\n');
  writeFileSync(path, `process.stdout.write(${JSON.stringify(text)});\n`);
  return path;
}

t.test('the last line is the sum, whatever was skipped', async (t) => {
  const good = file('good', 'ok 1 - a', 'ok 2 - b', 'ok 3 - c # SKIP not here', '1..3');
  const done = await runTests(good, '--check', 'true');
  t.match(done, { code: 0, stdout: /^1 skipped, for the reasons above$/m });
  t.match(done.stdout, /c # SKIP not here/, 'and the reason is told');
  t.equal(lastLine(done), '3 passed, 0 failed');
});

t.test('what fails, dies, says nothing or is not there is a failure', async (t) => {
  const cases: Readonly<Record<string, readonly string[]>> = {
    'an assertion': [file('bad', 'not ok 1 - a', '1..1')],
    silence: [file('silent')],
    'no file': [join(dir, 'nothing.test.ts')],
    'a check': ['--check', 'false'],
  };
  for (const [name, args] of Object.entries(cases)) {
    const done = await runTests(...args);
    t.equal(done.code, 1, name);
    t.equal(lastLine(done), '0 passed, 1 failed', name);
  }
});

t.test('sums of others are added', async (t) => {
  const done = await runTests(
    '--sum',
    "echo '2 passed, 0 failed, 1 skipped'",
    '--sum',
    "echo '1 passed, 0 failed'",
  );
  t.equal(done.code, 0);
  t.equal(lastLine(done), '3 passed, 0 failed');
});

t.test('what is named as beside runs meanwhile, once, and with less of the processor', async (t) => {
  const mark = join(dir, 'ran-beside');
  const beside = join(dir, 'beside.test.ts');
  writeFileSync(
    beside,
    `import { appendFileSync } from 'node:fs';
import { getPriority } from 'node:os';
appendFileSync(${JSON.stringify(mark)}, \`\${getPriority()} \${process.env.TAP_TIMEOUT}\`);
process.stdout.write('TAP version 14\\nok 1 - beside\\n1..1\\n');
`,
  );
  const waits = join(dir, 'waits.test.ts');
  writeFileSync(
    waits,
    `import { existsSync } from 'node:fs';
import { setTimeout as pass } from 'node:timers/promises';
while (!existsSync(${JSON.stringify(mark)})) await pass(20);
process.stdout.write('TAP version 14\\nok 1 - waited\\n1..1\\n');
`,
  );
  const timeout = ['--timeout', '100'];
  const done = await runTests(
    ...timeout,
    '--jobs',
    '2',
    '--serial',
    waits,
    '--serial',
    beside,
    '--beside',
    beside,
  );
  t.equal(lastLine(done), '2 passed, 0 failed', 'the one waited for the other, which did not run again');
  const patience = Number(process.env['SLUICE_TEST_PATIENCE'] ?? 4);
  t.equal(
    readFileSync(mark, 'utf8'),
    `${Math.min(19, getPriority() + 10)} ${100 * patience}`,
    'and more time',
  );
});
