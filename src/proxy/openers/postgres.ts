/**
 * PostgreSQL: TLS is asked for inside the protocol (SSLRequest) before the agent's start-up packet is sent.
 *
 * The server's answer must be one byte and nothing after it: bytes that came along were sent in plain text by
 * somebody on the path, to be taken for the server's later words (CVE-2021-23222).
 */
import type { Socket } from 'node:net';
import { AuthFilter } from '../../protocols/postgres/auth-filter.ts';
import { readSslAnswer, SSL_REQUEST } from '../../protocols/postgres/startup.ts';
import { firstChunk } from '../first-chunk.ts';
import { UpstreamError } from '../upstream-error.ts';
import { agentHead, connectServer, type Opener, tlsOf } from './opener.ts';

export const openPostgres: Opener = async (opening) => {
  const { recognised, upstream, limits } = opening;
  if (recognised?.protocol !== 'postgres') {
    throw new UpstreamError('internal_error', 'a PostgreSQL flow without a start-up packet');
  }
  const tls = tlsOf(opening, []);
  const raw = await connectServer(opening);
  await askForTls(raw, limits.handshakeTimeoutMs);
  const server = await upstream.secure(tls);
  // The server does not answer a cancel request, so there is nothing to filter either.
  const serverFilter = recognised.opening.kind === 'startup' ? new AuthFilter() : null;
  return {
    server,
    relay: { agentHead: agentHead(opening), serverHead: null, agentFilter: null, serverFilter },
  };
};

async function askForTls(raw: Socket, timeoutMs: number): Promise<void> {
  raw.write(SSL_REQUEST);
  const answer = await firstChunk(raw, timeoutMs);
  const [byte] = answer;
  if (byte === undefined) {
    throw new UpstreamError('tls_not_offered', 'the server closed the connection when asked for TLS');
  }
  const meaning = readSslAnswer(byte);
  if (meaning !== 'accept') {
    const detail =
      meaning === 'refuse' ? 'the server refuses TLS' : 'the server answered a request for TLS with an error';
    throw new UpstreamError('tls_not_offered', detail);
  }
  if (answer.length !== 1 || raw.readableLength > 0) {
    throw new UpstreamError('protocol_error', 'the server sent plain bytes after agreeing to TLS');
  }
}
