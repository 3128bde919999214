/**
 * One Sluice per host: its programs hang at the root of the cgroup hierarchy. So only one test at a time may
 * have a daemon, whoever started it; a second one waits here.
 */
import { Running } from './command.ts';

const LOCK_FILE = '/run/lock/sluice-tests.lock';
/** Longer than any one test file may take. */
const WAIT_SECONDS = 280;

/** Holds the lock until `release`, or until this process ends. */
export async function takeHostLock(): Promise<() => Promise<void>> {
  // --no-fork: the holder is the program itself, which the kernel ends with this process.
  const held = 'echo held; exec sleep infinity';
  const argv = ['flock', '--no-fork', '--wait', String(WAIT_SECONDS), LOCK_FILE, 'sh', '-c', held];
  const holder = new Running(argv);
  await holder.waitFor((r) => r.stdout.includes('held'), (WAIT_SECONDS + 5) * 1000);
  return async () => {
    await holder.stop('SIGKILL');
  };
}
