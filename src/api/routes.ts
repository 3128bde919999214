/** The table of what the API offers: method, path, the bound of the body, and the call to the backend. */
import { type Answerer, HOLD_REASON_MAX_CHARS } from '../flow/hold.ts';
import { DOCUMENT_MAX_BYTES } from '../policy/positions.ts';
import type { JsonObject } from './body.ts';
import { booleanMember, stringMember } from './body.ts';
import { ApiError } from './errors.ts';
import { EXPOSITION_TYPE } from './exposition.ts';
import { parseFlowQuery } from './flow-filter.ts';
import { metricsText } from './metrics.ts';
import type { ApiBackend } from './types.ts';

export interface ApiCall {
  readonly query: URLSearchParams;
  /** Empty when the route takes no body. */
  readonly body: JsonObject;
  /** Who is at the other end of the connection. */
  readonly peer: () => Answerer;
}

export interface Route {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** 0: a body is not read. */
  readonly maxBodyBytes: number;
  /** What the answer is: JSON, unless said otherwise; then `call` gives its text. */
  readonly contentType?: string;
  /** Gives what is answered with status 200. */
  readonly call: (backend: ApiBackend, call: ApiCall) => Promise<unknown>;
}

/** A name or a path, and JSON around it. */
const MAX_SMALL_BODY_BYTES = 8 * 1024;

/** Linux PATH_MAX. */
const MAX_PATH_LENGTH = 4096;

/** NAME_MAX. Names of runs are shorter; one that is too long arrives, so that the daemon can say what is allowed. */
const MAX_NAME_LENGTH = 255;

export const ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/status',
    maxBodyBytes: 0,
    call: (backend) => backend.status(),
  },
  {
    method: 'GET',
    path: '/v1/metrics',
    maxBodyBytes: 0,
    contentType: EXPOSITION_TYPE,
    call: async (backend) => metricsText(await backend.status()),
  },
  {
    method: 'GET',
    path: '/v1/flows',
    maxBodyBytes: 0,
    call: async (backend, { query }) => ({ flows: await backend.flows(parseFlowQuery(query)) }),
  },
  {
    method: 'POST',
    path: '/v1/policy',
    // JSON may write a byte as six characters (\u0001); an ordinary document grows by a few per cent.
    maxBodyBytes: 2 * DOCUMENT_MAX_BYTES,
    call: (backend, { body }) =>
      backend.applyPolicy({
        path: absolutePath(body, 'path'),
        text: stringMember(body, 'text', DOCUMENT_MAX_BYTES),
      }),
  },
  {
    method: 'POST',
    path: '/v1/run',
    maxBodyBytes: MAX_SMALL_BODY_BYTES,
    call: (backend, { body }) => backend.createRun(stringMember(body, 'name', MAX_NAME_LENGTH)),
  },
  {
    method: 'POST',
    path: '/v1/run/release',
    maxBodyBytes: MAX_SMALL_BODY_BYTES,
    call: (backend, { body }) => backend.releaseRun(absolutePath(body, 'cgroupPath')),
  },
  {
    method: 'GET',
    path: '/v1/agents',
    maxBodyBytes: 0,
    call: (backend, { query }) => backend.agents(agentLimit(query)),
  },
  {
    method: 'POST',
    path: '/v1/enrol',
    maxBodyBytes: MAX_SMALL_BODY_BYTES,
    call: (backend, { body }) =>
      backend.enrol({
        target: stringMember(body, 'target', MAX_NAME_LENGTH),
        agent: stringMember(body, 'agent', MAX_NAME_LENGTH),
        now: booleanMember(body, 'now'),
      }),
  },
  {
    method: 'GET',
    path: '/v1/holds',
    maxBodyBytes: 0,
    call: (backend) => backend.holds(),
  },
  {
    method: 'POST',
    path: '/v1/holds/answer',
    maxBodyBytes: MAX_SMALL_BODY_BYTES,
    call: (backend, { body, peer }) => {
      const answer = {
        id: stringMember(body, 'id', MAX_NAME_LENGTH),
        approved: booleanMember(body, 'approved'),
      };
      if (body['reason'] === undefined) return backend.answerHold(answer, peer());
      const reason = stringMember(body, 'reason', HOLD_REASON_MAX_CHARS);
      return backend.answerHold({ ...answer, reason }, peer());
    },
  },
  {
    method: 'POST',
    path: '/v1/workers/restart',
    maxBodyBytes: 0,
    call: (backend) => backend.restartWorkers(),
  },
  {
    method: 'POST',
    path: '/v1/selftest',
    maxBodyBytes: 0,
    call: (backend) => backend.selfTest(),
  },
];

/** Processes an answer holds at most: some hundred bytes each. */
export const MAX_AGENT_LIMIT = 10_000;

function agentLimit(query: URLSearchParams): number {
  for (const name of query.keys())
    if (name !== 'limit') throw new ApiError('BAD_REQUEST', `${name}: no such parameter`);
  const text = query.get('limit') ?? String(MAX_AGENT_LIMIT);
  const limit = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > MAX_AGENT_LIMIT)
    throw new ApiError('BAD_REQUEST', `limit: not a number from 1 to ${MAX_AGENT_LIMIT}`);
  return limit;
}

/** The row for a request. Throws ApiError `NOT_FOUND` or `METHOD_NOT_ALLOWED`. */
export function findRoute(method: string, path: string): Route {
  const rows = ROUTES.filter((route) => route.path === path);
  const first = rows[0];
  if (first === undefined)
    throw new ApiError('NOT_FOUND', 'no such path', { hint: 'see docs/cli.md, “API”' });
  const route = rows.find((row) => row.method === method);
  if (route === undefined) throw new ApiError('METHOD_NOT_ALLOWED', `${first.method} only`);
  return route;
}

function absolutePath(body: JsonObject, name: string): string {
  const path = stringMember(body, name, MAX_PATH_LENGTH);
  if (!path.startsWith('/') || path.includes('\0')) {
    throw new ApiError('BAD_REQUEST', `${name}: not an absolute path`);
  }
  return path;
}
