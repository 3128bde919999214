/**
 * PgBouncer in session mode with TLS to the server: it reads the protocol, as Sluice must, and keeps server
 * connections for the next client.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { POSTGRES_PORT } from '../servers.ts';
import { explicitProxy } from './explicit.ts';
import { loopbackEndpoint } from './ports.ts';

export const pgbouncer = explicitProxy('pgbouncer', ['postgres'], (world, index) => {
  const { host, port } = loopbackEndpoint('pgbouncer', 'postgres', index);
  const config = join(world.directory, `pgbouncer-${index}.ini`);
  // The certificate is checked against the address here: PgBouncer verifies what `host` says, and the leaf names both.
  writeFileSync(
    config,
    `[databases]
bench = host=${world.serverIp} port=${POSTGRES_PORT} dbname=bench user=bench
[pgbouncer]
listen_addr = ${host}
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = session
default_pool_size = 90
max_client_conn = 200
server_tls_sslmode = verify-full
server_tls_ca_file = ${world.caFile}
server_tls_protocols = tlsv1.3
log_connections = 0
log_disconnections = 0
log_stats = 0
`,
  );
  return [{ argv: ['pgbouncer', '-q', config], service: ['postgres'], user: 'postgres' }];
});
