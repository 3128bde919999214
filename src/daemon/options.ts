/** How a daemon is set up; the CLI fills it in. */
import type { TableSizes } from '../kernel/tables.ts';

export interface DaemonOptions {
  /** Absolute. */
  readonly policyPath: string;
  /** Number of worker processes. */
  readonly workers: number;
  /** Unprivileged user the workers run as. */
  readonly workerUser: string;
  /** Lock and API socket. */
  readonly runtimeDirectory: string;
  /** Flow store. */
  readonly stateDirectory: string;
  /** On a bpffs. */
  readonly pinDirectory: string;
  /** Open flows of one worker; it takes fewer if its descriptors do not suffice. */
  readonly maxFlows: number;
  /** Microseconds for which a worker does not sleep after it has read something; 0: it sleeps at once. */
  readonly busyPollUs: number;
  /** Ports of the proxy, 1 to PROXY_PORTS_MAX. */
  readonly listenPorts: number;
  /** How long flows of a worker that was replaced may go on. */
  readonly drainTimeoutMs: number;
  /** Tables of the kernel plane that are to have another size than the usual. */
  readonly tableSizes: TableSizes;
  /** Where metrics are served by TCP; null: nowhere. */
  readonly metrics: { readonly host: string; readonly port: number } | null;
  /** Flow records as NDJSON on stdout. */
  readonly logFlows: boolean;
}

export interface UninstallOptions {
  readonly runtimeDirectory: string;
  readonly pinDirectory: string;
}

/** Agent names Sluice keeps for itself. */
export const reservedAgents = {
  /** The self-test's process. */
  canary: 'sluice-canary',
  /** Whatever runs below /sluice/run without being known: governed, and allowed nothing. */
  unknown: 'sluice-unknown',
} as const;
