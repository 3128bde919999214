/** The naive Node relay, on the Node that Sluice itself runs on. */
import { fileURLToPath } from 'node:url';
import { HTTPS_PORT, POSTGRES_PORT } from '../servers.ts';
import { explicitProxy } from './explicit.ts';
import { loopbackEndpoint } from './ports.ts';

const PROGRAM = fileURLToPath(new URL('../naive-relay.mjs', import.meta.url));

export const naive = explicitProxy('naive', ['http', 'postgres'], (world, index) => {
  const argv = (service: 'http' | 'postgres', target: number): string[] => {
    const { host, port } = loopbackEndpoint('naive', service, index);
    const addresses = [`${host}:${port}`, `${world.serverIp}:${target}`];
    return [process.execPath, PROGRAM, ...addresses, world.serverName, world.caFile, service];
  };
  return [
    { argv: argv('http', HTTPS_PORT), service: ['http'] },
    { argv: argv('postgres', POSTGRES_PORT), service: ['postgres'] },
  ];
});
