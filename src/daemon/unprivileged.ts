/**
 * Starts the processes that read hostile bytes. All capabilities but those it takes to become another user are out of
 * reach before the first instruction; the entry gives up the rest when its code, which that user may not be able to
 * read, is in (proxy/entry.ts).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { CHANNEL_FD } from '../proxy/channel.ts';
import { relayWords } from './relayed-words.ts';
import type { WorkerUser } from './user.ts';

/** First descriptor behind stdio and the channel: the process finds `fds` from here on, in their order. */
export const FIRST_LENT_FD = CHANNEL_FD + 1;

const entries = {
  worker: fileURLToPath(new URL('../proxy/worker-main.ts', import.meta.url)),
  forwarder: fileURLToPath(new URL('../proxy/dns/dns-main.ts', import.meta.url)),
} as const;

/** @param fds the daemon's descriptors, lent to the process */
export function startUnprivileged(
  kind: keyof typeof entries,
  user: WorkerUser,
  fds: readonly number[],
): ChildProcess {
  const child = spawn(
    'setpriv',
    [
      '--no-new-privs',
      '--inh-caps=-all',
      '--ambient-caps=-all',
      '--bounding-set=-all,+setuid,+setgid',
      '--',
      process.execPath,
      '--disable-warning=ExperimentalWarning',
      // That signal would open a debugger, to a sibling that was taken over as to anybody of that user.
      '--disable-sigusr1',
      entries[kind],
      String(user.uid),
      String(user.gid),
    ],
    {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe', ...fds],
      // A session of its own: Ctrl-C is for the daemon, which ends its processes in order.
      detached: true,
      cwd: '/',
      // Nothing of the daemon's environment: a variable can name files to trust or to write.
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' },
    },
  );
  const words = child.stderr;
  if (words !== null) {
    relayWords(words, `sluice: ${kind} ${child.pid}`, (line) => process.stderr.write(`${line}\n`));
    // A worker may outlive this daemon, which does not wait for what it might say.
    if (words instanceof Socket) words.unref();
  }
  return child;
}
