/**
 * Errors on the wire: how a thrown error becomes an HTTP status and a body, and how a body becomes an error
 * again. Only a `SluiceError` is shown to the caller; the text of any other error may hold anything.
 */
import { type ErrorCode, SluiceError } from '../core/errors.ts';
import type { Problem } from '../policy/problems.ts';
import type { ApiErrorBody, ApiErrorCode } from './types.ts';

const STATUS_OF: Readonly<Record<ApiErrorCode, number>> = {
  ABI_MISMATCH: 500,
  ALREADY_RUNNING: 409,
  API: 500,
  BAD_REQUEST: 400,
  BUSY: 503,
  CONFIG: 400,
  INTERNAL: 500,
  KERNEL: 500,
  METHOD_NOT_ALLOWED: 405,
  NOT_FOUND: 404,
  NOT_RUNNING: 503,
  NOT_SUPPORTED: 501,
  PERMISSION: 403,
  POLICY: 422,
  PROTOCOL: 502,
  STORE: 503,
  TIMEOUT: 504,
  TOO_LARGE: 413,
  UPSTREAM: 502,
};

/** Codes of the HTTP layer alone: to the caller of the client they are all `API`. */
const HTTP_ONLY: ReadonlySet<ApiErrorCode> = new Set<ApiErrorCode>([
  'BAD_REQUEST',
  'BUSY',
  'INTERNAL',
  'METHOD_NOT_ALLOWED',
  'NOT_FOUND',
  'TIMEOUT',
  'TOO_LARGE',
]);

export interface ApiErrorOptions {
  readonly hint?: string;
  readonly problems?: readonly Problem[];
  readonly cause?: unknown;
}

/** An error of the API, on either side of it. `code` is what callers match on; `apiCode` is the one on the wire. */
export class ApiError extends SluiceError {
  readonly apiCode: ApiErrorCode;
  readonly problems: readonly Problem[];

  constructor(apiCode: ApiErrorCode, message: string, options: ApiErrorOptions = {}) {
    super(isErrorCode(apiCode) ? apiCode : 'API', message, options);
    this.name = 'ApiError';
    this.apiCode = apiCode;
    this.problems = options.problems ?? [];
  }
}

export interface WireError {
  readonly status: number;
  readonly body: ApiErrorBody;
}

/** What to answer for anything that was thrown. */
export function toWire(error: unknown): WireError {
  if (!(error instanceof SluiceError)) {
    const hint = "see the daemon's log";
    return { status: 500, body: { error: { code: 'INTERNAL', message: 'internal error', hint } } };
  }
  const code = error instanceof ApiError ? error.apiCode : error.code;
  const problems = problemsOf(error);
  const base = { code, message: error.message, hint: error.hint ?? null };
  return { status: STATUS_OF[code], body: { error: problems.length > 0 ? { ...base, problems } : base } };
}

/** The error an answer of status 400 or more stands for; `text` is its body, which may be anything. */
export function fromWire(status: number, text: string): ApiError {
  const { code, message, hint, problems } = errorMembers(text);
  if (!isApiErrorCode(code) || typeof message !== 'string') {
    return new ApiError('API', `the daemon answered with HTTP status ${status} and no reason`, {
      hint: 'is this socket really that of a Sluice daemon of the same version?',
    });
  }
  const options = Array.isArray(problems) ? { problems: problems.filter(isProblem) } : {};
  return new ApiError(code, message, typeof hint === 'string' ? { ...options, hint } : options);
}

/** The places in a policy document that an error names; none for most errors. */
export function problemsOf(error: unknown): readonly Problem[] {
  if (typeof error !== 'object' || error === null || !('problems' in error)) return [];
  return Array.isArray(error.problems) ? error.problems.filter(isProblem) : [];
}

function errorMembers(text: string): Record<string, unknown> {
  try {
    const body: unknown = JSON.parse(text);
    const error = isObject(body) ? body['error'] : null;
    return isObject(error) ? error : {};
  } catch {
    return {};
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isProblem(value: unknown): value is Problem {
  return (
    isObject(value) &&
    typeof value['line'] === 'number' &&
    typeof value['column'] === 'number' &&
    typeof value['path'] === 'string' &&
    typeof value['message'] === 'string' &&
    (value['hint'] === null || typeof value['hint'] === 'string')
  );
}

function isApiErrorCode(value: unknown): value is ApiErrorCode {
  return typeof value === 'string' && Object.hasOwn(STATUS_OF, value);
}

function isErrorCode(code: ApiErrorCode): code is ErrorCode {
  return !HTTP_ONLY.has(code);
}
