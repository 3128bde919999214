/**
 * The one error type of Sluice. `code` is stable and safe to match on; `hint` names the mend, so that the
 * CLI can print it as it is. Neither may carry a secret: both end up in logs.
 */
export type ErrorCode =
  | 'ALREADY_RUNNING'
  | 'ABI_MISMATCH'
  | 'API'
  | 'CONFIG'
  | 'KERNEL'
  | 'NOT_RUNNING'
  | 'NOT_SUPPORTED'
  | 'PERMISSION'
  | 'POLICY'
  | 'PROTOCOL'
  | 'STORE'
  | 'UPSTREAM';

export interface SluiceErrorOptions {
  readonly hint?: string;
  readonly cause?: unknown;
}

export class SluiceError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: SluiceErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'SluiceError';
    this.code = code;
    this.hint = options.hint;
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The errno name (`ECONNRESET`, …) of a Node system error, or undefined. */
export function errnoOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
