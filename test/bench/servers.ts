/**
 * The servers of the far namespace: nginx with HTTPS only and PostgreSQL with `hostssl` only. Both speak TLS 1.3
 * with TLS_AES_128_GCM_SHA256 and nothing else, so that every contender does the same cryptography.
 */
import {
  chmodSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readdirSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { must, type Running } from '#test/support/command.ts';
import { waitForListener } from '#test/support/listening.ts';
import { startPlaced } from './process.ts';
import type { BenchWorld } from './types.ts';
import { makeWideTable } from './wide-table.ts';

export const HTTPS_PORT = 443;
export const POSTGRES_PORT = 5432;
/** Served at /bulk; as long as the longest download asked for. */
export const BULK_PATH = '/bulk';
export const SMALL_PATH = '/small';
const DATABASE = 'bench';
const POSTGRES_ROOT = '/usr/lib/postgresql';

/** OpenSSL reads this for every context of the process: PostgreSQL has no setting for TLS 1.3 suites. */
const OPENSSL_CONFIG = `
openssl_conf = init
[init]
ssl_conf = ssl
[ssl]
system_default = all
[all]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
`;

function nginxConfig(world: BenchWorld): string {
  return `
daemon off;
master_process off;
pid ${world.directory}/nginx.pid;
error_log ${world.directory}/nginx-error.log warn;
worker_rlimit_nofile 20000;
events { worker_connections 16000; }
http {
  access_log off;
  client_body_temp_path ${world.directory}/nginx-body;
  proxy_temp_path ${world.directory}/nginx-proxy;
  fastcgi_temp_path ${world.directory}/nginx-fastcgi;
  uwsgi_temp_path ${world.directory}/nginx-uwsgi;
  scgi_temp_path ${world.directory}/nginx-scgi;
  server_tokens off;
  tcp_nodelay on;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  server {
    listen ${world.serverIp}:${HTTPS_PORT} ssl backlog=4096;
    server_name ${world.serverName};
    ssl_certificate ${world.certificate.cert};
    ssl_certificate_key ${world.certificate.key};
    ssl_protocols TLSv1.3;
    location = ${SMALL_PATH} { default_type text/plain; return 200 "ok\\n"; }
    location = ${BULK_PATH} { default_type application/octet-stream; root ${world.directory}/www; }
  }
}
`;
}

async function startNginx(world: BenchWorld, bulkBytes: number): Promise<Running> {
  const www = join(world.directory, 'www');
  mkdirSync(www, { recursive: true });
  // Sparse: it costs no disk, and TLS does not care what it encrypts.
  const file = join(www, BULK_PATH);
  closeSync(openSync(file, 'w'));
  truncateSync(file, bulkBytes);
  const config = join(world.directory, 'nginx.conf');
  writeFileSync(config, nginxConfig(world));
  const env = { OPENSSL_CONF: join(world.directory, 'openssl.cnf') };
  const log = join(world.directory, 'nginx-error.log');
  const nginx = startPlaced(world.servers, ['nginx', '-c', config, '-e', log], { env });
  await waitForListener(nginx, [HTTPS_PORT]);
  return nginx;
}

/** Directory of the newest PostgreSQL's programs; Debian keeps them off PATH. */
export function postgresPrograms(): string {
  const versions = readdirSync(POSTGRES_ROOT).sort((a, b) => Number(a) - Number(b));
  return join(POSTGRES_ROOT, versions.at(-1) ?? '', 'bin');
}

async function startPostgres(world: BenchWorld): Promise<Running> {
  const home = join(world.directory, 'postgres');
  const data = join(home, 'data');
  const programs = postgresPrograms();
  mkdirSync(home);
  copyFileSync(world.certificate.cert, join(home, 'server.pem'));
  copyFileSync(world.certificate.key, join(home, 'server.key'));
  chmodSync(join(home, 'server.key'), 0o600);
  await must(['chown', '-R', 'postgres:postgres', home]);
  const initdb = [
    join(programs, 'initdb'),
    '-D',
    data,
    '-U',
    'bench',
    '-A',
    'trust',
    '-E',
    'UTF8',
    '--no-sync',
  ];
  await must(['setpriv', '--reuid', 'postgres', '--regid', 'postgres', '--init-groups', '--', ...initdb], {
    cwd: home,
  });
  // Nobody but TLS gets in. Trust, because relays that only add TLS cannot take SCRAM-SHA-256-PLUS off the offer.
  writeFileSync(join(data, 'pg_hba.conf'), 'local all all trust\nhostssl all all all trust\n');
  const settings = {
    listen_addresses: world.serverIp,
    port: String(POSTGRES_PORT),
    unix_socket_directories: home,
    ssl: 'on',
    ssl_cert_file: join(home, 'server.pem'),
    ssl_key_file: join(home, 'server.key'),
    ssl_min_protocol_version: 'TLSv1.3',
    fsync: 'off',
    autovacuum: 'off',
    max_connections: '100',
  };
  const env = { OPENSSL_CONF: join(world.directory, 'openssl.cnf') };
  const argv = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const place = { ...world.servers, user: 'postgres' };
  const server = startPlaced(place, [join(programs, 'postgres'), '-D', data, ...argv], { env, cwd: home });
  await waitForListener(server, [POSTGRES_PORT]);
  await must(['createdb', '-h', home, '-U', 'bench', DATABASE]);
  const psql = ['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-h', home, '-U', 'bench', '-d', DATABASE];
  await must([...psql, '-c', makeWideTable()]);
  await must([join(programs, 'pgbench'), '-h', home, '-U', 'bench', '-i', '-q', '-s', '1', DATABASE]);
  return server;
}

/** Starts what the services need and has it stopped when the world closes. Throws when one does not come up. */
export async function startServers(world: BenchWorld, bulkBytes: number, postgres: boolean): Promise<void> {
  writeFileSync(join(world.directory, 'openssl.cnf'), OPENSSL_CONFIG);
  const nginx = await startNginx(world, bulkBytes);
  world.world.beforeClose(() => nginx.stop());
  if (!postgres) return;
  const server = await startPostgres(world);
  // Fast shutdown: disconnects clients instead of waiting for them.
  world.world.beforeClose(() => server.stop('SIGINT'));
}
