/** Starts the daemon, wires it to signals, systemd and the API, and stops it. */
import { metricsText } from '../api/metrics.ts';
import { type HandedMetrics, type MetricsServer, serveMetrics } from '../api/metrics-server.ts';
import { apiSocketPath } from '../api/paths.ts';
import { serveApi } from '../api/server.ts';
import { messageOf } from '../core/errors.ts';
import { OutcomeCounts } from '../flowlog/outcome-counts.ts';
import { addon } from '../kernel/addon.ts';
import { closeFd } from '../kernel/descriptors.ts';
import { hasLinks, makePinDirectories, removePins } from '../kernel/pins.ts';
import { backendOf } from './backend.ts';
import { Daemon } from './daemon.ts';
import {
  executeAnew,
  type Handover,
  isBeingRestarted,
  requireSuccessor,
  store,
  takeOver,
} from './handover.ts';
import { lockPins, takeLock } from './lock.ts';
import type { DaemonOptions } from './options.ts';
import { harden, version } from './self.ts';

function log(message: string): void {
  process.stderr.write(`sluice: ${message}\n`);
}

/** What ends this daemon: SIGTERM and SIGINT, or SIGUSR2 when the program that is installed can take its place. */
function nextSignal(options: DaemonOptions, started: Promise<unknown>): Promise<NodeJS.Signals> {
  return new Promise((resolvePromise) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolvePromise(signal));
    let asked = false;
    process.on('SIGUSR2', () => {
      if (asked) return;
      asked = true;
      started
        .then(() => requireSuccessor(options.policyPath))
        .then(
          () => resolvePromise('SIGUSR2'),
          (error: unknown) => {
            asked = false;
            log(`no restart: ${messageOf(error)}`);
          },
        );
    });
  });
}

/**
 * One that has begun to hand over serves nobody any more. If that fails it ends, and what it leaves in force refuses agents until
 * the next one is there.
 */
async function handedOver(handOver: () => Promise<void>): Promise<void> {
  try {
    await handOver();
  } catch (error) {
    log(`the hand-over failed, open flows end: ${messageOf(error)}`);
    process.exit(1);
  }
}

/** What the daemon may claim: that it enforces, only when its self-test has seen it. */
function describe(daemon: Daemon): string {
  const test = daemon.lastSelfTest;
  if (test?.ok === true) return `enforcing policy ${daemon.policies.policy.revision}`;
  return `NOT ENFORCING as it should: ${test?.detail ?? 'not tested'}`;
}

async function reload(daemon: Daemon): Promise<void> {
  addon().sdNotify('RELOADING=1');
  try {
    const policy = await daemon.policies.reload();
    log(`policy ${policy.revision} is in force`);
  } catch (error) {
    log(
      `the policy was not reloaded, revision ${daemon.policies.policy.revision} stays in force:\n${messageOf(error)}`,
    );
  }
  addon().sdNotify(`READY=1\nSTATUS=${describe(daemon)}`);
}

/** A daemon that cannot start takes the empty pin directories away again: they would look like an installation. */
function prepare(options: DaemonOptions, former: Handover | null): Daemon {
  try {
    return new Daemon(options, log, former);
  } catch (error) {
    if (!hasLinks(options.pinDirectory)) removePins(options.pinDirectory);
    throw error;
  }
}

/** One that finds while starting that it cannot be relied on takes away what it made. */
async function start(daemon: Daemon, options: DaemonOptions): Promise<void> {
  try {
    await daemon.start();
  } catch (error) {
    await daemon.stop();
    if (!hasLinks(options.pinDirectory)) removePins(options.pinDirectory);
    throw error;
  }
}

/** The listener of the daemon before, if it is at the address that is asked for now. */
function adoptMetrics({ metrics }: DaemonOptions, former: HandedMetrics | undefined): HandedMetrics | null {
  if (former === undefined) return null;
  if (former.host === metrics?.host && former.port === metrics.port) return former;
  closeFd(former.fd);
  return null;
}

/** Not worth ending for: agents stay governed without. */
async function openMetrics(
  options: DaemonOptions,
  text: () => Promise<string>,
  former: HandedMetrics | undefined,
): Promise<MetricsServer | null> {
  const adopted = adoptMetrics(options, former);
  if (options.metrics === null) return null;
  try {
    return await serveMetrics(options.metrics, text, (error) => log(`metrics: ${messageOf(error)}`), adopted);
  } catch (error) {
    log(`warning: ${messageOf(error)}`);
    return null;
  }
}

/**
 * Runs until SIGTERM or SIGINT, and resolves when it has stopped in good order. SIGUSR2 makes it start anew in place,
 * and so does a restart by the service manager, without a flow being broken.
 *
 * @throws SluiceError for whatever keeps it from starting; nothing is in force then that was not before.
 */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  const { promise: started, resolve: hasStarted } = Promise.withResolvers<void>();
  const stopped = nextSignal(options, started);
  const former = takeOver();
  harden();
  takeLock(options.runtimeDirectory);
  makePinDirectories(options.pinDirectory);
  lockPins(options.pinDirectory);
  const daemon = prepare(options, former);
  const outcomes = new OutcomeCounts();
  daemon.onFlow((record) => outcomes.count(record));
  await start(daemon, options);
  const backend = backendOf(daemon, outcomes);
  const api = await serveApi(apiSocketPath(options.runtimeDirectory), backend, {
    onError: (error) => log(`API: ${messageOf(error)}`),
  });
  await daemon.apiListens();
  const text = async (): Promise<string> => metricsText(await backend.status());
  const metrics = await openMetrics(options, text, former?.metrics);
  process.on('SIGHUP', () => void reload(daemon));
  const state = describe(daemon);
  addon().sdNotify(`READY=1\nSTATUS=${state}`);
  log(`${version()} with ${options.workers} workers: ${state}`);

  if (former !== null) log(`took over ${former.workers.length} workers with open flows`);
  hasStarted();

  const handOver = async (outlive: boolean): Promise<Handover> => {
    await api.close();
    const listener = await metrics?.handOver();
    const handover = await daemon.handOver(outlive);
    return listener === undefined ? handover : { ...handover, metrics: listener };
  };

  const signal = await stopped;
  if (signal === 'SIGUSR2') {
    addon().sdNotify('RELOADING=1');
    log('SIGUSR2: starting anew; open flows go on');
    await handedOver(async () => executeAnew(await handOver(false)));
  }
  if (signal === 'SIGTERM' && (await isBeingRestarted())) {
    addon().sdNotify('STOPPING=1');
    log('SIGTERM, to be started again; open flows go on');
    await handedOver(async () => store(await handOver(true)));
    process.exit(0);
  }
  addon().sdNotify('STOPPING=1');
  log(`${signal}: stopping; enforcement stays in force (sluice uninstall ends it)`);
  metrics?.close();
  await api.close();
  await daemon.stop();
}
