/**
 * HAProxy as a plain TCP relay with TLS to the server, one thread. It reuses TLS sessions by default.
 * It knows no SSLRequest, and PostgreSQL before 17 no TLS without it: there is no `postgres` here.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HTTPS_PORT } from '../servers.ts';
import { explicitProxy } from './explicit.ts';
import { loopbackEndpoint } from './ports.ts';

export const haproxy = explicitProxy('haproxy', ['http'], (world, index) => {
  const { host, port } = loopbackEndpoint('haproxy', 'http', index);
  const config = join(world.directory, `haproxy-${index}.cfg`);
  writeFileSync(
    config,
    `global
  nbthread 1
  maxconn 9900
defaults
  mode tcp
  timeout connect 10s
  timeout client 1h
  timeout server 1h
listen http
  bind ${host}:${port} backlog 4096
  server far ${world.serverIp}:${HTTPS_PORT} ssl verify required ca-file ${world.caFile} verifyhost ${world.serverName} sni str(${world.serverName})
`,
  );
  return [{ argv: ['haproxy', '-db', '-q', '-f', config], service: ['http'] }];
});
