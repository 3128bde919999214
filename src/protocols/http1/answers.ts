/**
 * The answer an agent gets, in HTTP's words, when Sluice and not its server speaks.
 *
 * Rules: it cannot be taken for the server's (`Sluice-Reason` says why, `Sluice-Flow` which flow record tells
 * more), and it ends the connection, since nothing is known of what the agent sends next.
 */
import type { Reason } from '../../flow/record.ts';

const STATUS_TEXT = {
  400: 'Bad Request',
  403: 'Forbidden',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
} as const;

export type ErrorStatus = keyof typeof STATUS_TEXT;

export interface ErrorAnswerOptions {
  readonly status: ErrorStatus;
  readonly reason: Reason;
  /** For people; becomes the body, one line. Never payload, never a secret. */
  readonly detail: string;
  readonly flowId: string;
  /** Method of the request, when it was read: an answer to HEAD has no body (RFC 9110 §9.3.2). */
  readonly method?: string;
}

/** A whole HTTP/1.1 response (RFC 9112 §4, RFC 9110 §15). */
export function errorAnswer({ status, reason, detail, flowId, method }: ErrorAnswerOptions): Buffer {
  const body = Buffer.from(`Sluice: ${oneLine(detail)}\n`, 'utf8');
  const head = [
    `HTTP/1.1 ${status} ${STATUS_TEXT[status]}`,
    `Sluice-Reason: ${fieldValue(reason)}`,
    `Sluice-Flow: ${fieldValue(flowId)}`,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${body.length}`,
    'Cache-Control: no-store',
    'Connection: close',
    '',
    '',
  ].join('\r\n');
  return Buffer.concat([Buffer.from(head, 'latin1'), method === 'HEAD' ? Buffer.alloc(0) : body]);
}

/** Both values are ours and plain words; whatever else gets in must not be able to end the line. */
function fieldValue(text: string): string {
  return text.replace(/[^\w.-]/g, '_');
}

/** Control characters would let a text that quotes a foreign name draw on the agent's terminal. */
function oneLine(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ').trim();
}
