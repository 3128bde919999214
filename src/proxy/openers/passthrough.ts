/**
 * The agent's own TLS goes on, once it is clear that it is TLS on both sides.
 *
 * The ClientHello was read and judged; nothing behind it is sent until the server has answered with a TLS
 * record, because what stands there may be anything. A server that answers otherwise gets nothing more and its answer
 * is not passed on. An agent that asked for TLS in PostgreSQL's words has been told that it may begin, so the server is asked for it
 * here: one that refuses it ends the flow, which never goes on in plain text.
 */
import { isServerFirstRecord } from '../../tls/record.ts';
import { firstChunk } from '../first-chunk.ts';
import { UpstreamError } from '../upstream-error.ts';
import { askForTls } from './ask-for-tls.ts';
import { connectServer, type Opener } from './opener.ts';

export const openPassthrough: Opener = async (opening) => {
  const { recognised, input, upstream, limits } = opening;
  const server = await connectServer(opening);
  if (recognised?.protocol === 'tls' && recognised.inPostgres)
    await askForTls(server, limits.handshakeTimeoutMs);
  const sent = input.take() ?? Buffer.alloc(0);
  const helloBytes = recognised?.protocol === 'tls' ? recognised.helloBytes : 0;
  server.write(sent.subarray(0, helloBytes));
  const deadline = performance.now() + limits.handshakeTimeoutMs;
  let serverHead = Buffer.alloc(0);
  for (;;) {
    const chunk = await firstChunk(server, deadline - performance.now());
    if (chunk.length === 0) {
      throw new UpstreamError(
        'tls_handshake_failed',
        'the server closed the connection during the TLS handshake',
      );
    }
    serverHead = Buffer.concat([serverHead, chunk]);
    const verdict = isServerFirstRecord(serverHead);
    if (verdict === 'tls') break;
    if (verdict === 'not-tls') {
      throw new UpstreamError('tls_not_offered', 'the server answered in plain text: it does not speak TLS');
    }
  }
  const sni = recognised?.protocol === 'tls' ? recognised.hello.serverName : null;
  upstream.tls = {
    version: null,
    cipher: null,
    group: null,
    server_name: null,
    resumed: false,
    alpn: null,
    peer_sha256: null,
    agent_sni: sni,
    close_notify: null,
  };
  return {
    server,
    relay: { agentHead: sent.subarray(helloBytes), serverHead, agentFilter: null, serverFilter: null },
  };
};
