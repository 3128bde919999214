/**
 * One Sluice per host: its programs hang at the root of the cgroup hierarchy. So only one test at a time may
 * have them, whoever started it; a second one waits here. Who has the lock clears away what killed ones left.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { DEFAULT_PIN_DIR } from '#src/api/paths.ts';
import { must, Running, until } from './command.ts';
import { reap } from './leftovers.ts';

const LOCK_FILE = '/run/lock/sluice-tests.lock';
/** Longer than a test file takes, though not as long as one may (scripts/lib/run-tests.ts). */
const WAIT_SECONDS = 600;
/** The kernel frees programs some time after their last pin has gone. */
const FREE_WAIT_MS = 60_000;
const BPF_DIR = '/sys/fs/bpf';

/** Holds the lock until what it returns is called, or until this process ends. Throws on a host with a Sluice. */
export async function takeHostLock(): Promise<() => Promise<void>> {
  // --no-fork: the holder is the program itself, which the kernel ends with this process.
  const held = 'echo held; exec sleep infinity';
  const argv = ['flock', '--no-fork', '--wait', String(WAIT_SECONDS), LOCK_FILE, 'sh', '-c', held];
  const holder = new Running(argv);
  await holder.waitFor((r) => r.stdout.includes('held'), (WAIT_SECONDS + 5) * 1000);
  const release = async (): Promise<void> => {
    await holder.stop('SIGKILL');
  };
  try {
    removeStalePins();
    reap('holds the host');
    await until('a host without Sluice', isFree, FREE_WAIT_MS);
  } catch (error) {
    await release();
    throw new Error('a Sluice is installed on this host. Mend: stop it, then `sluice uninstall`', {
      cause: error,
    });
  }
  return release;
}

/** Pins of a test of the kernel plane that was killed: whoever holds the lock knows that nobody uses them. */
function removeStalePins(): void {
  for (const name of existsSync(BPF_DIR) ? readdirSync(BPF_DIR) : []) {
    const pid = /^sluice-test-(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) rmSync(`${BPF_DIR}/${name}`, { recursive: true });
  }
}

async function isFree(): Promise<boolean> {
  // What a test left is gone by now. These are somebody's, and stay.
  if (existsSync(DEFAULT_PIN_DIR)) throw new Error(`${DEFAULT_PIN_DIR} is no test's`);
  return !/\bname sluice_/.test(await must(['bpftool', 'prog', 'list']));
}
