/**
 * The other end of the API, for the CLI and for programs. Every failure is a `SluiceError`: `NOT_RUNNING` and
 * `PERMISSION` when the daemon could not be reached, an `ApiError` when it answered with one.
 */
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { errnoOf, SluiceError } from '../core/errors.ts';
import type { FlowRecord } from '../flow/record.ts';
import { ApiError, fromWire } from './errors.ts';
import { type FlowFilter, flowQuery } from './flow-filter.ts';
import { FOLLOW_HOLDS_PATH, FOLLOW_PATH } from './paths.ts';
import type {
  AgentList,
  Enrolled,
  EnrolRequest,
  FollowEvent,
  FollowedHold,
  HoldAnswered,
  HoldList,
  HoldStatus,
  PolicyApplied,
  PolicyDocument,
  RunGranted,
  RunReleased,
  SelfTestStatus,
  Status,
  WorkersRestarted,
} from './types.ts';

/** The daemon answers from memory in a few milliseconds; this is for a host that is very busy. */
const CALL_TIMEOUT_MS = 10_000;

/** Longer than the server's own limit of a call, so that its reason arrives. */
const SELF_TEST_TIMEOUT_MS = 65_000;

/** Three heartbeats. */
const SILENCE_TIMEOUT_MS = 45_000;

/** `MAX_FLOW_LIMIT` records of a few kilobytes. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

export interface ApiClientOptions {
  readonly timeoutMs?: number;
  /** How long a stream may say nothing before it counts as broken. */
  readonly silenceTimeoutMs?: number;
}

interface Call {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: unknown;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export class ApiClient {
  readonly #socketPath: string;
  readonly #timeoutMs: number;
  readonly #silenceTimeoutMs: number;

  constructor(socketPath: string, options: ApiClientOptions = {}) {
    this.#socketPath = socketPath;
    this.#timeoutMs = options.timeoutMs ?? CALL_TIMEOUT_MS;
    this.#silenceTimeoutMs = options.silenceTimeoutMs ?? SILENCE_TIMEOUT_MS;
  }

  status(): Promise<Status> {
    return this.#json('GET', '/v1/status');
  }

  async flows(filter: FlowFilter): Promise<readonly FlowRecord[]> {
    const answer = await this.#json<{ flows: readonly FlowRecord[] }>(
      'GET',
      `/v1/flows?${flowQuery(filter)}`,
    );
    return answer.flows;
  }

  /** Throws ApiError `POLICY` with `problems` when the daemon refuses the document. */
  applyPolicy(document: PolicyDocument): Promise<PolicyApplied> {
    return this.#json('POST', '/v1/policy', document);
  }

  createRun(name: string): Promise<RunGranted> {
    return this.#json('POST', '/v1/run', { name });
  }

  releaseRun(cgroupPath: string): Promise<RunReleased> {
    return this.#json('POST', '/v1/run/release', { cgroupPath });
  }

  agents(limit: number): Promise<AgentList> {
    return this.#json('GET', `/v1/agents?limit=${limit}`);
  }

  enrol(request: EnrolRequest): Promise<Enrolled> {
    return this.#json('POST', '/v1/enrol', request, SELF_TEST_TIMEOUT_MS);
  }

  holds(): Promise<HoldList> {
    return this.#json('GET', '/v1/holds');
  }

  answerHold(answer: HoldAnswered): Promise<HoldStatus> {
    return this.#json('POST', '/v1/holds/answer', answer);
  }

  /** What waits, then what begins to; otherwise as `follow`. */
  followHolds(signal?: AbortSignal): AsyncGenerator<FollowedHold> {
    return this.#stream(FOLLOW_HOLDS_PATH, signal);
  }

  /** Answers when every worker is replaced. */
  restartWorkers(): Promise<WorkersRestarted> {
    return this.#json('POST', '/v1/workers/restart', undefined, SELF_TEST_TIMEOUT_MS);
  }

  selfTest(): Promise<SelfTestStatus> {
    return this.#json('POST', '/v1/selftest', undefined, SELF_TEST_TIMEOUT_MS);
  }

  /**
   * Records as flows end, after the stored ones if the filter has a `sinceMs`. Returns after an `end` or `cut`
   * event or when `signal` is aborted; throws when the daemon goes away without a word or is silent.
   */
  follow(filter: FlowFilter, signal?: AbortSignal): AsyncGenerator<FollowEvent> {
    return this.#stream(`${FOLLOW_PATH}?${flowQuery(filter)}`, signal);
  }

  async *#stream<T extends { readonly type: string }>(path: string, signal?: AbortSignal): AsyncGenerator<T> {
    const response = await this.#send({ method: 'GET', path, timeoutMs: this.#silenceTimeoutMs, signal });
    try {
      if (response.statusCode !== 200) throw fromWire(response.statusCode ?? 0, await readText(response));
      for await (const line of createInterface({ input: response, crlfDelay: Number.POSITIVE_INFINITY })) {
        const event = JSON.parse(line) as T;
        yield event;
        if (event.type === 'end' || event.type === 'cut') return;
      }
      if (signal?.aborted !== true) throw new SluiceError('NOT_RUNNING', 'the daemon closed the stream');
    } catch (error) {
      if (signal?.aborted === true) return;
      throw this.#explain(error);
    } finally {
      response.destroy();
    }
  }

  async #json<T>(method: 'GET' | 'POST', path: string, body?: unknown, timeoutMs?: number): Promise<T> {
    try {
      const response = await this.#send({ method, path, body, timeoutMs: timeoutMs ?? this.#timeoutMs });
      const text = await readText(response);
      if (response.statusCode !== 200) throw fromWire(response.statusCode ?? 0, text);
      return JSON.parse(text) as T;
    } catch (error) {
      throw this.#explain(error);
    }
  }

  #send(call: Call): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const bytes = call.body === undefined ? null : Buffer.from(JSON.stringify(call.body));
      const request: ClientRequest = httpRequest({
        socketPath: this.#socketPath,
        method: call.method,
        path: call.path,
        // One call a connection: nothing to keep open, and the process can end when it is done.
        agent: false,
        headers: bytes === null ? {} : { 'content-type': 'application/json', 'content-length': bytes.length },
        timeout: call.timeoutMs,
        ...(call.signal === undefined ? {} : { signal: call.signal }),
      });
      request.once('timeout', () => request.destroy(this.#silent(call.timeoutMs)));
      request.once('response', (response) => {
        response.once('timeout', () => response.destroy(this.#silent(call.timeoutMs)));
        resolve(response);
      });
      request.once('error', (error) => reject(this.#explain(error)));
      request.end(bytes ?? undefined);
    });
  }

  #silent(timeoutMs: number): ApiError {
    return new ApiError('TIMEOUT', `the daemon did not answer within ${timeoutMs / 1000} s`, {
      hint: 'see its log: journalctl -u sluice; is the host overloaded?',
    });
  }

  #explain(error: unknown): SluiceError {
    if (error instanceof SluiceError) return error;
    const errno = errnoOf(error);
    if (errno === 'EACCES' || errno === 'EPERM') {
      return new SluiceError('PERMISSION', `may not open ${this.#socketPath}`, {
        cause: error,
        hint: 'run it as root',
      });
    }
    if (errno === 'ENOENT' || errno === 'ECONNREFUSED' || errno === 'ENOTDIR') {
      return new SluiceError(
        'NOT_RUNNING',
        `the daemon is not running (nobody answers at ${this.#socketPath})`,
        {
          cause: error,
          hint: 'start it: sluice daemon --policy FILE, or: systemctl start sluice',
        },
      );
    }
    if (errno === 'ECONNRESET' || errno === 'EPIPE') {
      return new SluiceError('NOT_RUNNING', 'the daemon went away in the middle of its answer', {
        cause: error,
        hint: 'see its log: journalctl -u sluice',
      });
    }
    return new ApiError('API', 'the daemon gave an answer that is none of its API', {
      cause: error,
      hint: 'are the daemon and this command of the same version? See sluice --version and sluice status',
    });
  }
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES)
      throw new ApiError('TOO_LARGE', `an answer of over ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
