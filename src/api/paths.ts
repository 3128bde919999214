/** Where things are unless an option says otherwise: what the daemon and the CLI must agree on without talking. */
import { join } from 'node:path';

export const DEFAULT_RUNTIME_DIR = '/run/sluice';
export const DEFAULT_STATE_DIR = '/var/lib/sluice';
export const DEFAULT_PIN_DIR = '/sys/fs/bpf/sluice';

export function apiSocketPath(runtimeDir: string): string {
  return join(runtimeDir, 'api.sock');
}

export function flowStorePath(stateDir: string): string {
  return join(stateDir, 'flows.db');
}

/** Paths of the API that stream: their answer is no single value, so they stand apart from the table of routes. */
export const FOLLOW_PATH = '/v1/flows/follow';
export const FOLLOW_HOLDS_PATH = '/v1/holds/follow';
