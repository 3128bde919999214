/**
 * A process by its pidfd: the handle goes from one daemon to the next, and no reused pid is ever meant by it
 * (pidfd_open(2)).
 */
import { addon } from './addon.ts';

const REAP_INTERVAL_MS = 50;

export class ProcessHandle {
  readonly fd: number;

  /** Owns `fd`, a pidfd. */
  constructor(fd: number) {
    this.fd = fd;
  }

  /** @throws ESRCH when there is none. Only of a child of this process is `pid` certain to be who is meant. */
  static open(pid: number): ProcessHandle {
    return new ProcessHandle(addon().openProcess(pid));
  }

  kill(): void {
    addon().killProcess(this.fd);
  }

  /** Kills it, and resolves when it is gone and no zombie is left; the handle is closed then. */
  async end(): Promise<void> {
    this.kill();
    while (!addon().reapProcess(this.fd)) await new Promise((r) => setTimeout(r, REAP_INTERVAL_MS));
    addon().closeFd(this.fd);
  }
}
