import { availableParallelism } from 'node:os';
import t from 'tap';
import { SluiceError } from '#src/core/errors.ts';
import type { DaemonOptions } from '#src/daemon/options.ts';
import { PolicyError } from '#src/policy/problems.ts';
import { testCli } from './in-process.ts';

async function optionsOf(args: readonly string[]): Promise<DaemonOptions | undefined> {
  const seen: DaemonOptions[] = [];
  await testCli(['daemon', ...args], {
    runDaemon: async (options) => void seen.push(options),
  });
  return seen[0];
}

t.test('defaults', async (t) => {
  t.same(await optionsOf(['--policy', '/p.yaml']), {
    policyPath: '/p.yaml',
    workers: availableParallelism(),
    workerUser: 'sluice',
    runtimeDirectory: '/run/sluice',
    stateDirectory: '/var/lib/sluice',
    pinDirectory: '/sys/fs/bpf/sluice',
    maxFlows: 20_000,
    busyPollUs: 0,
    listenPorts: 4,
    metrics: null,
    drainTimeoutMs: 3_600_000,
    tableSizes: {},
    logFlows: true,
  });
});

t.test('every option arrives', async (t) => {
  const dirs = ['--runtime-dir', '/r', '--state-dir', '/s', '--pin-dir', '/b'];
  const args = ['--policy', 'p.yaml', '--workers', '3', '--worker-user', 'w', ...dirs, '--max-flows', '9'];
  const poll = ['--busy-poll', '50'];
  const tables = [
    '--metrics',
    '127.0.0.1:9464',
    '--table',
    'processes=200000',
    '--table',
    'flow-ring-bytes=16777216',
  ];
  t.same(
    await optionsOf([
      ...args,
      ...poll,
      '--listen-ports',
      '16',
      ...tables,
      '--drain-timeout',
      '5',
      '--no-log-flows',
    ]),
    {
      policyPath: `${process.cwd()}/p.yaml`,
      workers: 3,
      workerUser: 'w',
      runtimeDirectory: '/r',
      stateDirectory: '/s',
      pinDirectory: '/b',
      maxFlows: 9,
      busyPollUs: 50,
      listenPorts: 16,
      metrics: { host: '127.0.0.1', port: 9464 },
      drainTimeoutMs: 5_000,
      tableSizes: { processes: 200_000, 'flow-ring-bytes': 16_777_216 },
      logFlows: false,
    },
  );
});

t.test('wrong use', async (t) => {
  const policy = ['daemon', '--policy', 'p'];
  t.match(
    await testCli([...policy, '--listen-ports', '17']),
    { code: 2 },
    'more than the kernel programs know',
  );
  for (const table of ['processes', 'processes=0', 'processes=x', 'flow-ring-bytes=100000', 'names=5'])
    t.match(await testCli([...policy, '--table', table]), { code: 2 }, table);
  t.match(await testCli([...policy, '--busy-poll', '1001']), { code: 2 }, 'a worker that hardly ever sleeps');
  t.match(await testCli(['daemon']), { code: 2, stderr: /required option '--policy <file>' not specified/ });
  for (const workers of ['0', '-1', 'x', '1.5', '1025']) {
    t.match(await testCli(['daemon', '--policy', 'p', '--workers', workers]), { code: 2 }, workers);
  }
});

t.test('a daemon that cannot start says why', async (t) => {
  const fail = (error: Error) => ({ runDaemon: () => Promise.reject(error) });
  t.same(
    await testCli(
      ['daemon', '--policy', 'p'],
      fail(new SluiceError('ALREADY_RUNNING', 'taken', { hint: 'stop it' })),
    ),
    { code: 1, stdout: '', stderr: 'sluice: taken\n  hint: stop it\n' },
  );
  const problems = [{ line: 2, column: 4, path: 'agents', message: 'is not a list', hint: 'write - name' }];
  t.same(await testCli(['daemon', '--policy', 'p.yaml'], fail(new PolicyError('/x/p.yaml', problems))), {
    code: 1,
    stdout: '',
    stderr: 'p.yaml:2:4: agents: is not a list\n  hint: write - name\n',
  });
});
