import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fstatSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { type ProcessEvents, WorkerProcess } from '#src/daemon/worker-process.ts';
import { isReportedFlow } from '#src/flowlog/check-report.ts';
import { closeFd, duplicateFd } from '#src/kernel/descriptors.ts';
import { presentFlowLayout } from '#src/kernel/migrate/flow-layout.ts';
import { ProcessHandle } from '#src/kernel/process-handle.ts';
import { CHANNEL_FD, encodeFrame } from '#src/proxy/channel.ts';
import { fdOf } from '#src/proxy/socket-fd.ts';
import { facts, flowId, reported } from '#test/unit/flowlog/made.ts';

t.test('reports of a worker that an earlier version has handed over are taken', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'worker-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const server = createServer().listen(join(directory, 's'));
  t.teardown(() => server.close());
  await once(server, 'listening');
  const theirs = connect(join(directory, 's'));
  t.teardown(() => theirs.destroy());
  const [ours] = (await once(server, 'connection')) as [Socket];
  const channelFd = duplicateFd(fdOf(ours) ?? -1);
  ours.destroy();
  const child = spawn('sleep', ['60']);
  const pid = child.pid ?? 0;
  const worker = WorkerProcess.adopt(
    1,
    {
      number: 0,
      pid,
      openFlows: 1,
      drainUntilMs: Date.now() + 60_000,
      channelFd,
      processFd: ProcessHandle.open(pid).fd,
      flowLayout: presentFlowLayout,
    },
    { onMessage: () => undefined, onEnd: () => undefined },
  );
  const now = reported(facts(flowId(1)));
  const operations = { total: 3, denied: 1, observed: 0 };
  const former = { ...now, report: { ...now.report, operations } };
  t.ok(worker.presentFlows([former]).every(isReportedFlow));
  worker.kill();
  await once(child, 'exit');
});

/**
 * A worker that runs a script of sh(1), and what it says and how it ends, in that order.
 *
 * @param lastWordsMs how long what it says is waited for after its end
 */
function scripted(
  script: string,
  lastWordsMs: number,
  teardown: (end: () => unknown) => void,
): { heard: unknown[]; ended: Promise<unknown> } {
  const heard: unknown[] = [];
  const child = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit', 'pipe'], detached: true });
  // Its group, as what it leaves behind is in it.
  teardown(() => process.kill(-(child.pid ?? 0), 'SIGKILL'));
  const ended = new Promise((resolve) => {
    const events: ProcessEvents = {
      onMessage: (_, claim) => heard.push(claim['hold']),
      onEnd: (_, how) => resolve(heard.push(how)),
    };
    WorkerProcess.around(child, 1, 0, events, lastWordsMs);
  });
  return { heard, ended };
}

/** For printf(1). */
const released = (hold: number): string =>
  [...encodeFrame({ type: 'released', hold, outcome: 'approved' })]
    .map((byte) => `\\${byte.toString(8).padStart(3, '0')}`)
    .join('');

t.test('what a worker has said is heard before it is known to have ended', async (t) => {
  // Whoever has its channel says it after its end, as if it had been on its way.
  const after = `(sleep 0.3; printf '${released(2)}' >&${CHANNEL_FD}) &`;
  const { heard, ended } = scripted(
    `printf '${released(1)}' >&${CHANNEL_FD}; ${after} kill -9 $$`,
    600_000,
    t.teardown,
  );
  await ended;
  t.strictSame(heard, [1, 2, 'SIGKILL']);
});

t.test('but nobody keeps one from ending by keeping its channel', async (t) => {
  const { heard, ended } = scripted('sleep 600 & kill -9 $$', 100, t.teardown);
  await ended;
  t.strictSame(heard, ['SIGKILL']);
});

t.test(
  'one that ends while it is handed over leaves the next daemon descriptors that are there',
  async (t) => {
    const child = spawn('sleep', ['60'], { stdio: ['ignore', 'ignore', 'inherit', 'pipe'] });
    t.teardown(() => child.kill('SIGKILL'));
    const ended = Promise.withResolvers<unknown>();
    const events = { onMessage: () => undefined, onEnd: ended.resolve };
    const worker = WorkerProcess.around(child, 1, 0, events);
    const handed = worker.handOver();
    if (handed === null) throw new Error('it was not handed over');
    child.kill('SIGKILL');
    await ended.promise;
    t.ok(fstatSync(handed.channelFd).isSocket());
    for (const fd of [handed.channelFd, handed.processFd]) closeFd(fd);
    t.equal(worker.handOver(), null, 'it has ended');
  },
);

t.test('one that has said its last word is not handed over', async (t) => {
  const child = spawn('sleep', ['60'], { stdio: ['ignore', 'ignore', 'inherit', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  const ended = Promise.withResolvers<unknown>();
  const worker = WorkerProcess.around(child, 1, 0, { onMessage: () => undefined, onEnd: ended.resolve });
  worker.dismiss();
  t.equal(worker.handOver(), null);
  child.kill('SIGKILL');
  await ended.promise;
});
