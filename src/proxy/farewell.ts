/**
 * The last words to an agent: an answer in its protocol, sent so that it really arrives.
 *
 * Closing a socket with unread bytes makes the kernel send RST, and a RST makes the agent's kernel forget an
 * answer the agent has not read yet. An agent that is still uploading would so never see why. Hence: answer,
 * FIN, then read and throw away what the agent still sends, within bounds, until it closes too.
 */
import type { Socket } from 'node:net';
import type { Protocol, Reason } from '../flow/record.ts';
import { type ErrorStatus, errorAnswer as httpAnswer } from '../protocols/http1/answers.ts';
import { errorAnswer as postgresAnswer } from '../protocols/postgres/answers.ts';
import { takeFrom } from './landing.ts';
import type { Recognised } from './recognise.ts';

/** As long as an agent may go on sending after its answer. Longer serves only one that does not read. */
const LINGER_MS = 5_000;
/** As much as it may send: what a fast local agent has in flight, not a free sink. */
export const LINGER_MAX_BYTES = 64 * 1024 * 1024;

/** Fatal alert access_denied (RFC 8446 §6.2) in a plaintext record of TLS 1.2, which 1.3 keeps. */
const TLS_ACCESS_DENIED = Buffer.from([21, 3, 3, 0, 2, 2, 49]);

export interface Refusal {
  readonly reason: Reason;
  readonly detail: string;
  readonly flowId: string;
  /** Refused by policy, not by circumstances. */
  readonly denied: boolean;
}

/** What to tell an agent of this protocol; null when it has no words for it and gets a RST. */
export function answerFor(
  protocol: Protocol,
  recognised: Recognised | null,
  refusal: Refusal,
): Buffer | null {
  const { reason, detail, flowId } = refusal;
  if (protocol === 'http') {
    const method = recognised?.protocol === 'http' ? { method: recognised.head.method } : {};
    return httpAnswer({ status: httpStatus(refusal), reason, detail, flowId, ...method });
  }
  if (protocol === 'postgres') {
    // A cancel request is never answered (protocol documentation, "Canceling Requests in Progress").
    if (recognised?.protocol === 'postgres' && recognised.opening.kind === 'cancel') return null;
    return postgresAnswer({
      sqlState: sqlState(refusal),
      message: `Sluice: ${detail}`,
      detail: `reason ${reason}, flow ${flowId}`,
    });
  }
  return protocol === 'tls' ? TLS_ACCESS_DENIED : null;
}

function httpStatus({ reason, denied }: Refusal): ErrorStatus {
  if (reason === 'protocol_error') return denied ? 400 : 502;
  if (denied) return 403;
  if (reason === 'overloaded') return 503;
  return reason === 'internal_error' ? 500 : 502;
}

/** SQLSTATE (PostgreSQL documentation, appendix A). 28000 is what the server says when pg_hba.conf refuses. */
function sqlState({ reason, denied }: Refusal): string {
  if (reason === 'protocol_error') return '08P01';
  if (denied) return '28000';
  if (reason === 'overloaded') return '53300';
  if (reason === 'internal_error') return 'XX000';
  return reason === 'server_reset' ? '08006' : '08001';
}

/** Sends `bytes` and closes in good order. Resolves when the socket is closed, never rejects. */
export function farewell(agent: Socket, bytes: Buffer): Promise<void> {
  if (agent.destroyed || agent.writableEnded) {
    agent.destroy();
    return Promise.resolve();
  }
  return new Promise((resolve) => {
    let received = 0;
    const timer = setTimeout(() => agent.destroy(), LINGER_MS);
    takeFrom(agent, (chunk) => {
      received += chunk.length;
      if (received > LINGER_MAX_BYTES) agent.destroy();
    });
    agent.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    agent.end(bytes);
    agent.resume();
  });
}
