/**
 * Gathers reports so that thousands of short flows a second do not become as many messages to the daemon.
 */
import type { ReportedFlow } from './ipc.ts';

export const BATCH_MAX = 256;
export const BATCH_DELAY_MS = 50;

export class ReportBatch {
  readonly #send: (flows: readonly ReportedFlow[]) => void;
  #flows: ReportedFlow[] = [];
  /** Of the flows: what makes a report long is what had to wait. */
  #weight = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(send: (flows: readonly ReportedFlow[]) => void) {
    this.#send = send;
  }

  add(flow: ReportedFlow): void {
    this.#flows.push(flow);
    this.#weight += 1 + (flow.report.operations?.holds.length ?? 0);
    if (this.#weight >= BATCH_MAX) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), BATCH_DELAY_MS);
  }

  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#flows.length === 0) return;
    const flows = this.#flows;
    this.#flows = [];
    this.#weight = 0;
    this.#send(flows);
  }
}
