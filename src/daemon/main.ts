/** Starts the daemon, wires it to signals, systemd and the API, and stops it. */
import { apiSocketPath } from '../api/paths.ts';
import { serveApi } from '../api/server.ts';
import { messageOf } from '../core/errors.ts';
import { addon } from '../kernel/addon.ts';
import { hasLinks, makePinDirectories, removePins } from '../kernel/pins.ts';
import { backendOf } from './backend.ts';
import { Daemon } from './daemon.ts';
import { lockPins, takeLock } from './lock.ts';
import type { DaemonOptions } from './options.ts';
import { harden, version } from './self.ts';

function log(message: string): void {
  process.stderr.write(`sluice: ${message}\n`);
}

function nextSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolvePromise) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolvePromise(signal));
  });
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
function prepare(options: DaemonOptions): Daemon {
  try {
    return new Daemon(options, log);
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

/**
 * Runs until SIGTERM or SIGINT, and resolves when it has stopped in good order.
 *
 * @throws SluiceError for whatever keeps it from starting; nothing is in force then that was not before.
 */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  const stopped = nextSignal();
  harden();
  takeLock(options.runtimeDirectory);
  makePinDirectories(options.pinDirectory);
  lockPins(options.pinDirectory);
  const daemon = prepare(options);
  await start(daemon, options);
  const api = await serveApi(apiSocketPath(options.runtimeDirectory), backendOf(daemon), {
    onError: (error) => log(`API: ${messageOf(error)}`),
  });
  process.on('SIGHUP', () => void reload(daemon));
  const state = describe(daemon);
  addon().sdNotify(`READY=1\nSTATUS=${state}`);
  log(`${version()} with ${options.workers} workers: ${state}`);

  const signal = await stopped;
  addon().sdNotify('STOPPING=1');
  log(`${signal}: stopping; enforcement stays in force (sluice uninstall ends it)`);
  await api.close();
  await daemon.stop();
}
