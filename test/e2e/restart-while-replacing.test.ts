/**
 * The daemon is restarted while it replaces a worker, which takes longer than requests to a daemon that goes may take: what that worker
 * carries goes on, and has one record.
 */
import t from 'tap';
import { until } from '#test/support/command.ts';
import { FAR } from '#test/support/network.ts';
import { PYTHON } from '#test/support/python.ts';
import { RAW_PORTS } from '#test/support/raw-ports.ts';
import { underServiceManager } from '#test/support/service-manager.ts';
import { TestSluice } from '#test/support/sluice.ts';
import { World } from '#test/support/world.ts';
import { AGENTS } from '#test/support/world-policy.ts';

const MARKER = 'REPLACED-81c6';
const ECHO = `
import socket, sys
s = socket.create_connection(("${FAR.ipv4}", ${RAW_PORTS.echo}), 30); s.settimeout(30)
for line in sys.stdin:
    s.sendall(line.encode()); got = b""
    while len(got) < len(line):
        more = s.recv(100)
        if not more: raise EOFError
        got += more
    print("echoed", got.decode().strip(), flush=True)`;

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(280_000);
const world = await World.open(['raw']);
t.teardown(() => world.close());

for (const [kind, signal, options] of [
  ['in place', 'SIGUSR2', {}],
  ['by its service manager', 'SIGHUP', underServiceManager(world)],
] as const) {
  t.test(kind, async (t) => {
    const sluice = await TestSluice.start(world, { workers: 1, ...options });
    const capture = await world.capture();
    const agent = sluice.start(AGENTS.shop, [PYTHON, '-c', ECHO], { keepStdin: true });
    agent.write(`first ${MARKER}\n`);
    await agent.waitFor(({ stdout }) => stdout.includes('echoed first'));

    const worker = (await sluice.status()).workers[0]?.pid ?? 0;
    // It does not say that it is retired until the daemon that waits for that is about to go.
    process.kill(worker, 'SIGSTOP');
    const replaced = sluice.api.restartWorkers().then(
      () => 'replaced',
      ({ message }: Error) => message,
    );
    await until(
      'a worker that is being drained',
      async () => (await sluice.api.status()).draining.length > 0,
    );
    const restarted = sluice.restart(signal);
    t.match(await replaced, /went away/);
    process.kill(worker, 'SIGCONT');
    const { draining } = await restarted;
    t.ok(
      draining.some(({ pid }) => pid === worker),
      'it was handed over',
    );
    agent.write(`second ${MARKER}\n`);
    agent.endInput();
    t.match(await agent.finished, { code: 0, stdout: /echoed second/ });
    const flows = await sluice.waitForFlows(1, ({ dst }) => dst.port === RAW_PORTS.echo);
    t.match(flows, [{ reason: 'ok' }]);
    t.equal(flows.length, 1, 'it has one record');
    await until('the worker to go', async () => (await sluice.status()).draining.length === 0);
    await capture.assertNoPlaintext([MARKER]);
    await sluice.uninstall();
  });
}

t.test('workers that have nothing to carry end while the daemon is restarted', async (t) => {
  const sluice = await TestSluice.start(world, { workers: 2 });
  // At different moments of it: one that has said its last word and is not gone yet is nobody to be handed over.
  for (let round = 0; round < 6; round += 1) {
    const replaced = sluice.api.restartWorkers().catch(() => null);
    await new Promise((resolve) => setTimeout(resolve, round * 150));
    t.ok((await sluice.restart('SIGUSR2')).enforcing, `round ${round}`);
    await replaced;
  }
  await until('old workers to go', async () => (await sluice.status()).draining.length === 0);
  await sluice.uninstall();
});
