/**
 * Entry of the forwarder's process: `dns-main.ts UID GID`. Started as a worker is, and as harmless: it gives up what
 * privilege it has before it reads anything, and never outlives its daemon.
 */
import { Socket } from 'node:net';
import { systemClock } from '../../core/clock.ts';
import { type Datagram, DatagramSockets, isMapped, type LentSocket } from '../../kernel/datagrams.ts';
import { DescriptorReader } from '../../kernel/descriptors.ts';
import type { KernelFlow } from '../../kernel/facts.ts';
import { decodeFlow } from '../../kernel/layout.ts';
import { readFlow } from '../../kernel/worker.ts';
import { QUERY_MAX_BYTES } from '../../protocols/dns/query.ts';
import { CHANNEL_FD, Channel, MAX_DAEMON_FRAME_BYTES, NAMESPACE_LINE_FD } from '../channel.ts';
import { becomeHarmless, EXIT_DEFECT } from '../entry.ts';
import { describeDefect } from '../flow-report.ts';
import { decodeNamespaceMessage, type NamespaceMessage } from '../namespace-line.ts';
import { ReportBatch } from '../report-batch.ts';
import type { FromForwarder, ToForwarder } from './dns-ipc.ts';
import { dnsReport, type Outcome } from './dns-report.ts';
import { Forwarder } from './forwarder.ts';
import { ResolverClient } from './resolver-client.ts';
import { type Ended, TcpAgents } from './tcp-agents.ts';

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
  new DescriptorReader(NAMESPACE_LINE_FD, (message, fds) => {
    const told = decodeNamespaceMessage(message);
    if (told.type === 'forward') serveIn(told.netnsCookie, fds, told.datagrams);
    else if (told.type === 'question') answerIn(told);
    else if (told.type === 'close') closeIn(told.netnsCookie);
  });
  process.on('uncaughtException', die);
}

let forwarder: Forwarder | null = null;
/** Closes what agents are connected to, and sends the last reports. */
let stopServing = (): void => undefined;
/** Takes sockets, `datagrams` of them for datagrams and then TCP listeners. */
let addSockets: ((fds: readonly number[], datagrams: number) => Place) | null = null;
let answer: (datagram: Datagram) => void = () => undefined;
/** Other network namespaces, by cookie. */
const places = new Map<bigint, Place>();

interface Place {
  /** In the order of families: IPv4, IPv6. */
  readonly datagrams: readonly LentSocket[];
  readonly close: () => void;
}

function serveIn(netnsCookie: bigint, fds: readonly number[], datagrams: number): void {
  closeIn(netnsCookie);
  // The daemon sends none before it has heard that this process is ready.
  if (addSockets !== null) places.set(netnsCookie, addSockets(fds, datagrams));
}

function answerIn(question: Extract<NamespaceMessage, { type: 'question' }>): void {
  const sender = Buffer.from(question.sender, 'hex');
  const socket = places.get(question.netnsCookie)?.datagrams[isMapped(sender) ? 0 : 1];
  if (socket === undefined) return;
  answer({
    bytes: Buffer.from(question.bytes, 'base64'),
    kernel: { facts: decodeFlow(Buffer.from(question.flow, 'hex')), text: question.flow },
    answer: socket.answerTo(sender, question.port),
  });
}

function closeIn(netnsCookie: bigint): void {
  places.get(netnsCookie)?.close();
  places.delete(netnsCookie);
}

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
  answer = ({ bytes, kernel, answer: reply }) => {
    const begunMs = performance.now();
    forwarder
      .handle(bytes, kernel.facts, 'udp')
      .then((handled) => {
        const { outcome } = handled;
        if (handled.reply !== null) reply(handled.reply);
        if (outcome !== null)
          report(kernel, outcome, { ip: null, port: null, totalMs: performance.now() - begunMs });
      })
      .catch(die);
  };
  const udp = new DatagramSockets(QUERY_MAX_BYTES, answer);
  const tcp = new TcpAgents({
    readFlow,
    handle: (bytes, { facts }) => forwarder.handle(bytes, facts, 'tcp'),
    onEnd: report,
  });
  addSockets = (fds, datagrams) => {
    const sockets = fds.slice(0, datagrams).map((fd) => udp.add(fd));
    const closers = fds
      .slice(datagrams)
      .map((fd) => tcp.serve(fd))
      .concat(sockets.map(({ close }) => close));
    return {
      datagrams: sockets,
      close: () => {
        for (const close of closers) close();
      },
    };
  };
  addSockets(
    [...datagrams, ...listeners].map(({ fd }) => fd),
    datagrams.length,
  );
  setInterval(() => {
    tcp.look();
    send({ type: 'stats', counters: forwarder.counters(), outOfDescriptors: tcp.shut });
  }, STATS_INTERVAL_MS).unref();
  return () => {
    tcp.close();
    reports.flush();
  };
}

/** After a defect nothing here can be relied on; the daemon starts another. */
function die(error: unknown): void {
  process.stderr.write(`${describeDefect(error)}\n`);
  process.exit(EXIT_DEFECT);
}

main();
