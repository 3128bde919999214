/** stunnel in client mode: a thread per connection. It resumes TLS sessions by default. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HTTPS_PORT, POSTGRES_PORT } from '../servers.ts';
import { explicitProxy } from './explicit.ts';
import { loopbackEndpoint } from './ports.ts';

export const stunnel = explicitProxy('stunnel', ['http', 'postgres'], (world, index) => {
  const config = join(world.directory, `stunnel-${index}.conf`);
  const section = (service: 'http' | 'postgres', port: number, protocol: string): string => {
    const { host, port: accept } = loopbackEndpoint('stunnel', service, index);
    return `[${service}]
client = yes
accept = ${host}:${accept}
connect = ${world.serverIp}:${port}
CAfile = ${world.caFile}
verifyChain = yes
checkHost = ${world.serverName}
sni = ${world.serverName}
TIMEOUTidle = 3600
${protocol}`;
  };
  writeFileSync(
    config,
    `foreground = yes
pid =
debug = err
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
${section('http', HTTPS_PORT, '')}
${section('postgres', POSTGRES_PORT, 'protocol = pgsql\n')}`,
  );
  return [{ argv: ['stunnel', config], service: ['http', 'postgres'] }];
});
