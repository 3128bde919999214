/**
 * Signals between the one who sent them and the command that `sluice run` wraps.
 *
 * The command is in the process group of the wrapper, so that Ctrl-C, Ctrl-Z and `fg` work as if there
 * were no wrapper: the terminal sends its signals to both. Those must not be passed on, or the command would get
 * them twice, and many programs take a second SIGINT for impatience. A signal sent to the wrapper alone is passed on.
 */
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';

const FORWARDED_SIGNALS = [
  'SIGINT',
  'SIGTERM',
  'SIGHUP',
  'SIGQUIT',
  'SIGUSR1',
  'SIGUSR2',
  'SIGWINCH',
] as const satisfies readonly NodeJS.Signals[];

/** Those a terminal sends to the whole foreground process group. */
const FROM_TERMINAL: ReadonlySet<NodeJS.Signals> = new Set<NodeJS.Signals>(['SIGINT', 'SIGQUIT', 'SIGWINCH']);

/**
 * Names of forwarded signals that were ignored when the process was started (nohup, a background job of a
 * script), from the `SigIgn` mask of proc_pid_status(5). Node sets all signals to their default at its start, so the
 * launcher hands the mask over.
 */
export function ignoredSignals(mask: string | undefined): NodeJS.Signals[] {
  if (mask === undefined || !/^[0-9a-f]{1,32}$/.test(mask)) return [];
  const bits = BigInt(`0x${mask}`);
  return FORWARDED_SIGNALS.filter((name) => (bits >> BigInt(constants.signals[name] - 1)) & 1n);
}

/** Whether the process whose proc_pid_stat(5) this is belongs to the foreground group of its terminal. */
export function isForeground(stat: string): boolean {
  // The name, in parentheses, may hold anything; what follows the last one is state, ppid, pgrp, session, tty_nr, tpgid.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[4] !== '0' && fields[2] === fields[5];
}

/** Passes signals on from construction to `stop()`. */
export class SignalForwarder {
  readonly #ignored: readonly NodeJS.Signals[];
  readonly #handlers = new Map<NodeJS.Signals, () => void>();
  #child: ChildProcess | null = null;
  #early: NodeJS.Signals | null = null;

  constructor(ignored: readonly NodeJS.Signals[]) {
    this.#ignored = ignored;
    for (const signal of FORWARDED_SIGNALS) {
      const handler = (): void => this.#handle(signal);
      this.#handlers.set(signal, handler);
      process.on(signal, handler);
    }
  }

  /** The signal that should have ended the command before there was one; null if none came. */
  get early(): NodeJS.Signals | null {
    return this.#early;
  }

  attach(child: ChildProcess): void {
    this.#child = child;
  }

  stop(): void {
    for (const [signal, handler] of this.#handlers) process.off(signal, handler);
  }

  #handle(signal: NodeJS.Signals): void {
    if (this.#ignored.includes(signal)) return;
    if (this.#child === null) {
      if (signal !== 'SIGWINCH') this.#early ??= signal;
    } else if (!(FROM_TERMINAL.has(signal) && isForeground(readFileSync('/proc/self/stat', 'latin1')))) {
      this.#child.kill(signal);
    }
  }
}
