/**
 * Plain bytes in, TLS out, for protocols whose TLS begins with the connection: HTTP, and any other as it is.
 */
import { agentHead, connectServer, type Opener, type Opening, secureServer } from './opener.ts';

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
  await connectServer(opening);
  const server = await secureServer(opening, alpnOf(opening));
  return { server, relay: { agentHead: agentHead(opening), serverHead: null, serverFilter: null } };
};
