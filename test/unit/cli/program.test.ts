import { readFileSync } from 'node:fs';
import t from 'tap';
import { DISPOSITIONS } from '#src/flow/record.ts';
import { FakeBackend } from '../api/sample.ts';
import { testCli } from './in-process.ts';
import { setStage } from './script.ts';

const ROOT = new URL('../../../', import.meta.url).pathname;

const COMMANDS: readonly string[][] = [
  ['daemon'],
  ['run'],
  ['enrol'],
  ['agents'],
  ['status'],
  ['flows'],
  ['holds', 'approve'],
  ['holds', 'deny'],
  ['workers', 'restart'],
  ['policy', 'check'],
  ['policy', 'explain'],
  ['policy', 'apply'],
  ['unit', 'harden'],
  ['doctor'],
  ['uninstall'],
];

t.test('every command has help with an example and its exit codes', async (t) => {
  for (const command of COMMANDS) {
    const done = await testCli([...command, '--help']);
    t.match(done, { code: 0, stderr: '' }, command.join(' '));
    t.match(done.stdout, new RegExp(`^Usage: sluice ${command.join(' ')}`), command.join(' '));
    t.match(done.stdout, /^Examples?:\n {2}\S/m, command.join(' '));
    t.match(done.stdout, /^Exit codes: /m, command.join(' '));
    t.same(await testCli(['help', ...command]), done, 'and "help" shows the same');
    const [group = '', name] = command;
    if (name !== undefined) t.same(await testCli([group, 'help', name]), done, 'and that of its group');
  }
});

/** Names under "Commands:" in the help of one. */
async function listed(command: readonly string[]): Promise<string[]> {
  const { stdout } = await testCli([...command, '--help']);
  const [, list = ''] = stdout.split(/^Commands:$/m);
  const [upTo = ''] = list.replace(/^\n/, '').split(/^$/m);
  return [...upTo.matchAll(/^ {2}([a-z]\S*)/gm)].map(([, name = '']) => name).filter((n) => n !== 'help');
}

t.test('the list of commands', async (t) => {
  const all: string[][] = [];
  for (const name of await listed([])) {
    const below = await listed([name]);
    if (below.length === 0) all.push([name]);
    else all.push(...below.map((one) => [name, one]));
  }
  t.same(all, COMMANDS, 'those whose help was looked at above are all there are');
  const done = await testCli(['--help']);
  t.same(await testCli(['help']), done);
  t.match(await testCli([]), { code: 2, stdout: '', stderr: done.stdout }, 'nothing asked is wrong use');
});

t.test('the documents have every command, and the reference every option', async (t) => {
  const readme = readFileSync(`${ROOT}README.md`, 'utf8');
  const reference = readFileSync(`${ROOT}docs/cli.md`, 'utf8');
  for (const how of DISPOSITIONS) t.ok(reference.includes(`\`${how}\``), `docs/cli.md: ${how}`);
  for (const command of COMMANDS) {
    const [name = ''] = command;
    t.match(readme, new RegExp(`^\\| \`sluice ${name}[ \`]`, 'm'), `README: ${name}`);
    t.match(reference, new RegExp(`^sluice ${name} `, 'm'), `docs/cli.md: ${name}`);
    const { stdout } = await testCli([...command, '--help']);
    for (const [, option = ''] of stdout.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm))
      if (option !== '--help') t.ok(reference.includes(option), `docs/cli.md: ${name} ${option}`);
  }
});

t.test('exit codes and version', async (t) => {
  t.match(await testCli(['help', 'exit-codes']), { code: 0, stdout: /^ {2}125 {2}Sluice failed/m });
  t.match(await testCli(['--version']), { code: 0, stdout: /^\d+\.\d+\.\d+\n$/ });
});

t.test('wrong use: what was wrong, how it may have been meant, and 2', async (t) => {
  const hint = '  hint: add --help, or see: sluice help\n';
  const cases: [string[], string][] = [
    [['statsu'], `sluice: unknown command 'statsu'\n  hint: Did you mean status?\n${hint}`],
    [['status', '--outptu'], `sluice: unknown option '--outptu'\n  hint: Did you mean --output?\n${hint}`],
    [['a\u001b[2J'], `sluice: unknown command 'a\\x1b[2J'\n${hint}`],
    [['help', 'nothing'], 'sluice: no help on nothing\n  hint: see: sluice help\n'],
    ...['holds', 'workers', 'policy', 'unit'].map((group): [string[], string] => [
      [group, 'help', 'nonsense'],
      `sluice: no help on ${group} nonsense\n  hint: see: sluice ${group} help\n`,
    ]),
  ];
  for (const [args, stderr] of cases)
    t.same(await testCli(args), { code: 2, stdout: '', stderr }, args.join(' '));
});

t.test('an unexpected error is told without its stack', async (t) => {
  const done = await testCli(['daemon', '--policy', 'p'], {
    runDaemon: () => Promise.reject(new TypeError('oops')),
  });
  t.same(done, {
    code: 1,
    stdout: '',
    stderr: 'sluice: internal error: oops\n  hint: SLUICE_DEBUG=1 shows where it happened\n',
  });
});

t.test('colour at a terminal, unless NO_COLOR is set; none into a pipe', async (t) => {
  const stage = await setStage(t, new FakeBackend());
  const terminal = (env: string): Promise<{ stdout: string }> =>
    // script(1) runs it at a terminal of its own, and copies what that shows.
    stage.sh(`env ${env} TERM=xterm script -qec 'sluice status' /dev/null </dev/null`);
  t.match((await terminal('')).stdout, '\u001b[', 'at a terminal');
  const plain = await terminal('NO_COLOR=1');
  t.notMatch(plain.stdout, '\u001b[', 'with NO_COLOR');
  t.match(plain.stdout, /^sluice +/m);
  const piped = await stage.sh('sluice status');
  t.notMatch(piped.stdout, '\u001b[', 'into a pipe');
  t.match(piped.stdout, /^sluice +/m);
});
