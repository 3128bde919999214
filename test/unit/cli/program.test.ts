import t from 'tap';
import { testCli } from './in-process.ts';

const COMMANDS: readonly string[][] = [
  ['daemon'],
  ['run'],
  ['status'],
  ['flows'],
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
  }
});

t.test('the list of commands', async (t) => {
  const done = await testCli(['--help']);
  for (const command of COMMANDS) t.match(done.stdout, new RegExp(`^  ${command[0]} `, 'm'));
  t.same(await testCli(['help']), done);
  t.match(await testCli([]), { code: 2, stdout: '', stderr: done.stdout }, 'nothing asked is wrong use');
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
