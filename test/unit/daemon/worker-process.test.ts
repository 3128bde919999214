import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { WorkerProcess } from '#src/daemon/worker-process.ts';
import { isReportedFlow } from '#src/flowlog/check-report.ts';
import { duplicateFd } from '#src/kernel/descriptors.ts';
import { presentFlowLayout } from '#src/kernel/migrate/flow-layout.ts';
import { ProcessHandle } from '#src/kernel/process-handle.ts';
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
