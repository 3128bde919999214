/**
 * Plain bytes in, TLS out, for protocols whose TLS begins with the connection: HTTP, and any other as it is.
 */
import { agentHead, type Opener, type Opening, tlsOf } from './opener.ts';

/**
 * ALPN only where the protocol is known. `http/1.1` keeps a server from choosing HTTP/2, which the agent
 * does not speak on a plain connection.
 */
function alpnOf({ recognised, grant }: Opening): readonly string[] {
  const http =
    recognised?.protocol === 'http' || (recognised === null && grant.destination.protocol === 'http');
  return http ? ['http/1.1'] : [];
}

export const openUpgrade: Opener = async (opening) => {
  const { upstream, ip, grant, limits } = opening;
  const tls = tlsOf(opening, alpnOf(opening));
  const server = await upstream.connectSecure(ip, grant.upstreamPort, limits.connectTimeoutMs, tls);
  return {
    server,
    relay: { agentHead: agentHead(opening), serverHead: null, agentFilter: null, serverFilter: null },
  };
};
