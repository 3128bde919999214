/**
 * One guest from its start to its end: a program that writes a console and a channel, bounded in all it does. One that
 * ends, or is ended, before its first word has tried nothing of Sluice and is started once more: emulated machines
 * sometimes do not come up. One that has spoken is judged by what it said.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MatrixResult } from '#test/support/bypass/types.ts';
import { Running } from '#test/support/command.ts';
import { patience } from '#test/support/patience.ts';
import { Channel, type Verdict } from './channel.ts';

export interface Boot {
  /** What to start, with the files it is to write to. */
  readonly argv: (console: string, channel: string) => readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Until its first word; stretched on a slow machine, as the limit is (patience.ts). */
  readonly silenceMs: number;
  /** Of all of it, started once or twice. */
  readonly limitMs: number;
  /** Where console and channel are written. */
  readonly directory: string;
  readonly onLine: (line: string) => void;
  readonly onMatrix: ((matrix: MatrixResult) => void) | undefined;
}

interface Ended {
  readonly verdict: Verdict;
  readonly spoke: boolean;
  readonly timeIsUp: boolean;
  /** Why it is no result, with the end of its console. */
  readonly why: string;
}

/** @throws Error when the guest did not come to its end by itself. */
export async function bootGuest(boot: Boot): Promise<Verdict> {
  const endMs = performance.now() + boot.limitMs * patience;
  mkdirSync(boot.directory, { recursive: true });
  const first = await once(boot, endMs);
  if (first.spoke || first.timeIsUp) return judge(first);
  for (const line of first.why.split('\n')) boot.onLine(line);
  boot.onLine('it is booted once more');
  return judge(await once(boot, endMs));
}

async function once(boot: Boot, endMs: number): Promise<Ended> {
  const console = join(boot.directory, 'console');
  const channel = new Channel(join(boot.directory, 'channel'), boot.onLine, boot.onMatrix);
  const program = new Running(boot.argv(console, channel.file), {
    env: boot.env,
    // Running stretches it, and what is left is stretched already.
    timeoutMs: Math.max(1, (endMs - performance.now()) / patience),
  });
  let mute = false;
  const listening = setTimeout(() => {
    mute = !channel.spoke;
    if (mute) program.kill('SIGKILL');
  }, boot.silenceMs * patience);
  const { timedOut, stderr } = await program.finished;
  clearTimeout(listening);
  const verdict = channel.close();
  const minutes = (ms: number): string => `${Math.round(ms / 60_000)} minutes`;
  const how = timedOut
    ? `took longer than ${minutes(boot.limitMs)}`
    : mute
      ? `said nothing in ${minutes(boot.silenceMs)}`
      : 'ended without a result';
  return {
    verdict,
    spoke: channel.spoke,
    timeIsUp: timedOut,
    why: `the guest ${how}\n${stderr}${tail(console)}`,
  };
}

function judge({ verdict, why }: Ended): Verdict {
  if (verdict.exitCode === null) throw new Error(why);
  return verdict;
}

function tail(file: string): string {
  return existsSync(file) ? readFileSync(file, 'latin1').split('\n').slice(-40).join('\n') : '';
}
