/**
 * Entry of a worker process: `worker-main.ts UID GID`. The daemon starts it with its end of the channel and the
 * listeners as descriptors; it gives up what privilege it has before it reads anything, and it outlives its daemon
 * only where that hands it over to the next. It writes nothing to standard output: what it has to say are messages.
 */
import { Socket } from 'node:net';
import { closeFd, DescriptorReader } from '../kernel/descriptors.ts';
import { outliveDaemon, readFlow } from '../kernel/worker.ts';
import { loadParser } from '../protocols/postgres/parser.ts';
import { CHANNEL_FD, Channel, MAX_DAEMON_FRAME_BYTES, NAMESPACE_LINE_FD } from './channel.ts';
import { becomeHarmless, EXIT_DEFECT } from './entry.ts';
import { describeDefect } from './flow-report.ts';
import type { DaemonMessage } from './ipc.ts';
import { decodeNamespaceMessage } from './namespace-line.ts';
import { Worker } from './worker.ts';

/** Time for the reports of the flows that are cut to leave. */
const LAST_REPORTS_MS = 200;

function main(): void {
  becomeHarmless('sluice-worker');
  const line = new Socket({ fd: CHANNEL_FD, readable: true, writable: true });
  const channel: Channel = new Channel(line, MAX_DAEMON_FRAME_BYTES, {
    onMessage: (message) => {
      // The daemon is trusted to send what ipc.ts says.
      const told = message as DaemonMessage;
      if (told.type === 'retire' && told.outlive) outliveDaemon();
      worker
        .handle(told)
        .then(() => {
          if (told.type === 'stop') channel.end();
        })
        .catch((error: unknown) => dieOf(worker, error));
    },
    onViolation: (why) => dieOf(worker, new Error(why)),
    onClose: () => process.exit(0),
  });
  const worker: Worker = new Worker({
    send: (message, onSent) => channel.send(message, onSent),
    readFlow,
    closeFd,
  });
  new DescriptorReader(NAMESPACE_LINE_FD, (message, fds) => {
    worker.handleNamespace(decodeNamespaceMessage(message), fds);
  });
  process.on('uncaughtException', (error) => dieOf(worker, error));
}

let dying = false;

/** After a defect nothing here can be relied on: flows are cut, their reports sent, and the process ends. */
function dieOf(worker: Worker, error: unknown): void {
  if (dying) return;
  dying = true;
  process.stderr.write(`${describeDefect(error)}\n`);
  setTimeout(() => process.exit(EXIT_DEFECT), LAST_REPORTS_MS);
  worker.cutAll('internal_error', describeDefect(error));
  void worker.stop(0).finally(() => setImmediate(() => process.exit(EXIT_DEFECT)));
}

// Read while it can be: workers give up the right to.
await loadParser();
main();
