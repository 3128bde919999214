/**
 * PostgreSQL: TLS is asked for inside the protocol (SSLRequest) before the agent's start-up packet is sent, or its request
 * to cancel, for which the agent has a key of Sluice's own. Where policy says `negotiation: direct`, it begins with TLS.
 */
import type { TLSSocket } from 'node:tls';
import { ProtocolError } from '../../core/protocol-error.ts';
import { cancelRequest, readCancelRequest } from '../../protocols/postgres/cancel-key.ts';
import { SaslReply } from '../../protocols/postgres/sasl-reply.ts';
import { StartFilter } from '../../protocols/postgres/start-filter.ts';
import { DeniedByPolicy } from '../denied-by-policy.ts';
import type { ByteFilter } from '../relay.ts';
import type { SecureOptions } from '../upstream.ts';
import { UpstreamError } from '../upstream-error.ts';
import { askForTls } from './ask-for-tls.ts';
import { agentHead, connectServer, type Opener, type Opening, tlsOf } from './opener.ts';

/** As IANA has it registered for PostgreSQL. */
const ALPN = 'postgresql';

export const openPostgres: Opener = async (opening) => {
  const { recognised } = opening;
  if (recognised?.protocol !== 'postgres') {
    throw new UpstreamError('internal_error', 'a PostgreSQL flow without a start-up packet');
  }
  const { opening: said } = recognised;
  const cancelling = said.kind === 'cancel' ? translated(opening, said.raw) : null;
  const direct = opening.grant.destination.tls.negotiation === 'direct';
  const tls = tlsOf(opening, direct ? [ALPN] : []);
  const server = direct ? await beginWithTls(opening, tls) : await agreeOnTls(opening, tls);
  if (cancelling !== null) {
    // The server does not answer it, so there is nothing to filter.
    const relay = { agentHead: cancelling, serverHead: null, agentFilter: onlyHead(), serverFilter: null };
    return { server, relay };
  }
  const session = { port: opening.grant.upstreamPort, name: tls.serverName, dnsName: opening.dnsName };
  const serverFilter = new StartFilter({ keyFor: (key) => opening.cancels.issue(session, key) });
  return {
    server,
    relay: {
      agentHead: agentHead(opening),
      serverHead: null,
      agentFilter: replies(said.raw.length, serverFilter),
      serverFilter,
    },
  };
};

/** Reads what the agent replies until its session is ready. */
function replies(startupBytes: number, start: StartFilter): ByteFilter {
  const reply = new SaslReply({ startupBytes, isOffered: () => start.tookBinding });
  const isOver = (): boolean => start.done && reply.atBoundary;
  return {
    push: (chunk) => (isOver() ? [chunk] : reply.push(chunk)),
    back: () => reply.refusal(),
    get done() {
      return isOver();
    },
  };
}

/** Lets the head pass, and nothing that the agent may send after it. */
function onlyHead(): ByteFilter {
  let passed = false;
  return {
    done: false,
    push: (chunk) => {
      if (passed) throw new ProtocolError('postgres', 'agent', 'bytes after a cancel request');
      passed = true;
      return [chunk];
    },
  };
}

/**
 * The agent's request to cancel with the server's key. One for a session that nobody reads has it already; whoever may have that may
 * send this inside its own TLS as well.
 *
 * @throws DeniedByPolicy when it is for no session this agent has with this server; the server then hears nothing of it
 */
function translated({ cancelled, cancelsUnread, grant }: Opening, raw: Buffer): Buffer {
  const { serverName, upstreamPort } = grant;
  if (cancelled?.server.port === upstreamPort && cancelled.server.name === serverName?.name)
    return cancelRequest({ ...readCancelRequest(raw), key: cancelled.key });
  if (cancelsUnread) return raw;
  const reason = 'no session of this agent with this server has that process and key';
  throw new DeniedByPolicy({ kind: 'deny', rule: null, code: 'cancel_denied', reason });
}

async function agreeOnTls(opening: Opening, tls: SecureOptions): Promise<TLSSocket> {
  const raw = await connectServer(opening);
  await askForTls(raw, opening.limits.handshakeTimeoutMs);
  return await opening.upstream.secure(tls);
}

/**
 * The server must name its protocol: with no word of PostgreSQL said before, one of another protocol that has the same certificate
 * would be as good (protocol documentation, "SSL Session Encryption").
 */
async function beginWithTls(opening: Opening, tls: SecureOptions): Promise<TLSSocket> {
  const { upstream, ip, grant, limits } = opening;
  const server = await upstream.connectSecure(ip, grant.upstreamPort, limits.connectTimeoutMs, tls);
  if (server.alpnProtocol === ALPN) return server;
  throw new UpstreamError('tls_handshake_failed', 'the server did not say by ALPN that it speaks PostgreSQL');
}
