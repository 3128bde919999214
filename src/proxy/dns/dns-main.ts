/**
 * Entry of the forwarder's process: `dns-main.ts UID GID`. Started as a worker is, and as harmless: it gives up what
 * privilege it has before it reads anything, and never outlives its daemon.
 */
import { Socket } from 'node:net';
import { systemClock } from '../../core/clock.ts';
import { DatagramSocket } from '../../kernel/datagrams.ts';
import type { KernelFlow } from '../../kernel/facts.ts';
import { readFlow } from '../../kernel/worker.ts';
import { QUERY_MAX_BYTES } from '../../protocols/dns/query.ts';
import { CHANNEL_FD, Channel, MAX_DAEMON_FRAME_BYTES } from '../channel.ts';
import { becomeHarmless, EXIT_DEFECT } from '../entry.ts';
import { describeDefect } from '../flow-report.ts';
import { ReportBatch } from '../report-batch.ts';
import type { FromForwarder, ToForwarder } from './dns-ipc.ts';
import { dnsReport, type Outcome } from './dns-report.ts';
import { Forwarder } from './forwarder.ts';
import { ResolverClient } from './resolver-client.ts';
import { type Ended, TcpAgents } from './tcp-agents.ts';

const BACKLOG = 256;
const STATS_INTERVAL_MS = 1_000;

function main(): void {
  becomeHarmless('sluice-dns');
  const line = new Socket({ fd: CHANNEL_FD, readable: true, writable: true });
  const channel: Channel = new Channel(line, MAX_DAEMON_FRAME_BYTES, {
    // The daemon is trusted to send what dns-ipc.ts says.
    onMessage: (message) => {
      const told = message as ToForwarder;
      hear(told, (answer) => channel.send(answer));
      if (told.type === 'stop') channel.end();
    },
    onViolation: (why) => die(new Error(why)),
    onClose: () => process.exit(0),
  });
  process.on('uncaughtException', die);
}

let forwarder: Forwarder | null = null;
/** Closes what agents are connected to, and sends the last reports. */
let stopServing = (): void => undefined;

function hear(message: ToForwarder, send: (message: FromForwarder) => void): void {
  switch (message.type) {
    case 'init':
      forwarder = new Forwarder(systemClock, new ResolverClient({ clock: systemClock }), message.policy);
      stopServing = serve(forwarder, message, send);
      send({ type: 'ready' });
      break;
    case 'policy':
      forwarder?.setPolicy(message.policy);
      send({ type: 'policy-applied', revision: message.policy.revision });
      break;
    case 'stop':
      stopServing();
      break;
    case 'name': {
      const name = forwarder?.memory.nameFor(message.agentId, message.ip) ?? null;
      send({ ...message, type: 'name', name });
      break;
    }
  }
}

function serve(
  forwarder: Forwarder,
  { datagrams, listeners }: Extract<ToForwarder, { type: 'init' }>,
  send: (message: FromForwarder) => void,
): () => void {
  const reports = new ReportBatch((flows) => send({ type: 'flows', flows }));
  const report = (kernel: KernelFlow, outcome: Outcome, { ip, port, totalMs }: Ended): void => {
    // A connection is in the kernel's books: it has its record whatever policy says of questions.
    const wanted = outcome.verdict !== 'allow' || forwarder.policy.record === 'all' || ip !== null;
    if (!wanted) return;
    const made = dnsReport(kernel.facts, outcome, forwarder.policy.revision, { ip, port }, totalMs);
    reports.add({ kernel: kernel.text, report: made });
  };
  for (const { fd } of datagrams)
    new DatagramSocket(fd, QUERY_MAX_BYTES, ({ bytes, kernel, answer }) => {
      const begunMs = performance.now();
      forwarder
        .handle(bytes, kernel.facts, 'udp')
        .then(({ reply, outcome }) => {
          if (reply !== null) answer(reply);
          if (outcome !== null)
            report(kernel, outcome, { ip: null, port: null, totalMs: performance.now() - begunMs });
        })
        .catch(die);
    });
  const tcp = new TcpAgents({
    readFlow,
    handle: (bytes, { facts }) => forwarder.handle(bytes, facts, 'tcp'),
    onEnd: report,
  });
  for (const { fd } of listeners) tcp.serve((server) => server.listen({ fd }, BACKLOG));
  setInterval(() => send({ type: 'stats', counters: forwarder.counters() }), STATS_INTERVAL_MS).unref();
  return () => {
    tcp.close();
    reports.flush();
  };
}

/** After a defect nothing here can be relied on; the daemon starts another. */
function die(error: unknown): void {
  process.stderr.write(`sluice forwarder: ${describeDefect(error)}\n`);
  process.exit(EXIT_DEFECT);
}

main();
