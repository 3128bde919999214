/** How a daemon is set up; the CLI fills it in. */
export interface DaemonOptions {
  /** Absolute. */
  readonly policyPath: string;
  /** Number of worker processes; null: one per core. */
  readonly workers: number | null;
  /** Unprivileged user the workers run as. */
  readonly workerUser: string;
  /** Lock and API socket. */
  readonly runtimeDir: string;
  /** Flow store. */
  readonly stateDir: string;
  /** On a bpffs. */
  readonly pinDir: string;
  /** Open flows of one worker; null: what its descriptors allow. */
  readonly maxFlows: number | null;
  /** Flow records as NDJSON on stdout. */
  readonly logFlows: boolean;
}

export interface UninstallOptions {
  readonly runtimeDir: string;
  readonly pinDir: string;
}

/** Open flows of one worker unless an option or its descriptors say less. */
export const DEFAULT_MAX_FLOWS = 65_536;

/** Enforcement tier of this version: cgroup programs, no LSM programs yet. */
export const TIER = 'base';

/** Agent names Sluice keeps for itself. */
export const reservedAgents = {
  /** The self-test's process. */
  canary: 'sluice-canary',
  /** Whatever runs below /sluice/run without being known: governed, and allowed nothing. */
  unknown: 'sluice-unknown',
} as const;
