/**
 * Asks a PostgreSQL server for TLS, as its protocol has it (SSLRequest).
 *
 * The server's answer must be one byte and nothing after it: bytes that came along were sent in plain text by
 * somebody on the path, to be taken for the server's later words (CVE-2021-23222).
 */
import type { Socket } from 'node:net';
import { readSslAnswer, SSL_REQUEST } from '../../protocols/postgres/startup.ts';
import { firstChunk } from '../first-chunk.ts';
import { UpstreamError } from '../upstream-error.ts';

/** Resolves when the server waits for a ClientHello. @throws UpstreamError, ProtocolError */
export async function askForTls(server: Socket, timeoutMs: number): Promise<void> {
  server.write(SSL_REQUEST);
  const answer = await firstChunk(server, timeoutMs);
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
  if (answer.length !== 1 || server.readableLength > 0) {
    throw new UpstreamError('protocol_error', 'the server sent plain bytes after agreeing to TLS');
  }
}
