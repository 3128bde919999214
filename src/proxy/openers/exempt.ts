/**
 * Plain bytes stay plain: only for flows an `exempt` rule names, with its reason on the record.
 */
import { agentHead, connectServer, type Opener } from './opener.ts';

export const openExempt: Opener = async (opening) => {
  const server = await connectServer(opening);
  return {
    server,
    relay: { agentHead: agentHead(opening), serverHead: null, agentFilter: null, serverFilter: null },
  };
};
