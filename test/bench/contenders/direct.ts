/** No proxy: the load generator speaks TLS itself. The ceiling for throughput, the floor for latency. */
import { HTTPS_PORT, POSTGRES_PORT } from '../servers.ts';
import type { Contender } from '../types.ts';

export const direct: Contender = {
  name: 'direct',
  services: ['http', 'postgres'],
  async start(world) {
    return {
      name: 'direct',
      endpoints: (service) => [
        { host: world.serverIp, port: service === 'http' ? HTTPS_PORT : POSTGRES_PORT, tls: true },
      ],
      loadCommand: (argv) => argv,
      pids: [],
      async stop() {},
    };
  },
};
