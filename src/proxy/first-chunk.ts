/**
 * One chunk from a server that has to say something before TLS, or before the relay, can begin.
 */
import type { Socket } from 'node:net';
import { deadline } from '../core/deadline.ts';
import { handshakeError, UpstreamError } from './upstream-error.ts';

/** The next chunk; empty when the server closes its side. The socket is paused again. @throws UpstreamError */
export function firstChunk(server: Socket, timeoutMs: number): Promise<Buffer> {
  if (server.destroyed) return Promise.reject(handshakeError(server.errored ?? new Error('closed')));
  return new Promise((resolve, reject) => {
    const settle = (chunk: Buffer): void => {
      stop();
      resolve(chunk);
    };
    const onEnd = (): void => settle(Buffer.alloc(0));
    const onClose = (): void => {
      stop();
      reject(handshakeError(server.errored ?? new Error('closed')));
    };
    const callOff = deadline(timeoutMs, () => {
      stop();
      reject(
        new UpstreamError('tls_handshake_timeout', 'the server did not answer a request for TLS in time'),
      );
    });
    const stop = (): void => {
      callOff();
      server.pause();
      server.off('data', settle);
      server.off('end', onEnd);
      server.off('close', onClose);
    };
    server.on('data', settle);
    server.on('end', onEnd);
    server.on('close', onClose);
    server.resume();
  });
}
