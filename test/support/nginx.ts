/**
 * nginx on the far side: HTTPS only on 443, one virtual host for each state a certificate can be in, told apart
 * by SNI. Port 80 is closed; 8080 speaks plain HTTP, to prove that Sluice refuses it.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Running, until } from './command.ts';
import { waitForListener } from './listening.ts';
import type { Network } from './network.ts';
import { type Certificate, Pki } from './pki.ts';

export const PLAIN_HTTP_PORT = 8080;
export const HTTPS_NAMES = [
  'shop.test',
  'expired.test',
  'not-yet.test',
  'self-signed.test',
  'wrong-name.test',
  'unknown-ca.test',
  'client-cert.test',
] as const;
export type SiteName = (typeof HTTPS_NAMES)[number];
/** In the body of every answer of /secret: has to reach the agent and must not cross in plain text. */
export const RESPONSE_MARKER = 'RESPONSE-MARKER-9c41';
/** Size of /big, in bytes. */
export const BIG_BYTES = 64 * 1024 * 1024;

/** One line of the access log. */
export interface AccessLogEntry {
  readonly host: string;
  /** `TLSv1.3`; empty on the plain port. */
  readonly tls: string;
  readonly curve: string;
  /** `r` when the session was resumed, `.` when not. */
  readonly reused: string;
  readonly request: string;
  readonly status: string;
  readonly length: string;
  readonly client: string;
  readonly agent: string;
}

export interface NginxSize {
  readonly processes: number;
  /** Of one process; with what else it has open it must stay below the hard limit of descriptors. */
  readonly connections: number;
}

const USUAL_SIZE: NginxSize = { processes: 1, connections: 8192 };

export class Nginx {
  readonly #process: Running;
  readonly #log: string;

  private constructor(process: Running, log: string) {
    this.#process = process;
    this.#log = log;
  }

  static async start(
    network: Network,
    dir: string,
    pki: Pki,
    sites: readonly SiteName[] = HTTPS_NAMES,
    size: NginxSize = USUAL_SIZE,
  ): Promise<Nginx> {
    mkdirSync(dir, { recursive: true, mode: 0o755 });
    writeFileSync(join(dir, 'big'), Buffer.alloc(BIG_BYTES, 'sluice '));
    const certificates = await certificatesFor(dir, pki, sites);
    const configuration = join(dir, 'nginx.conf');
    writeFileSync(configuration, nginxConfiguration(dir, pki, certificates, size));
    const process = network.far.start([
      'nginx',
      '-c',
      configuration,
      '-p',
      dir,
      '-e',
      join(dir, 'error.log'),
    ]);
    await waitForListener(process, [443, PLAIN_HTTP_PORT]);
    return new Nginx(process, join(dir, 'access.log'));
  }

  get accessLog(): AccessLogEntry[] {
    const lines = readFileSync(this.#log, 'utf8').split('\n');
    // Behind the last end of a line is nothing, or a line that is being written.
    return lines.slice(0, -1).map((line) => JSON.parse(line) as AccessLogEntry);
  }

  /** Waits for an entry, which nginx writes only after the answer has been sent. */
  waitForEntry(matches: (entry: AccessLogEntry) => boolean): Promise<AccessLogEntry> {
    return until('an entry in the access log of nginx', () => this.accessLog.find(matches));
  }

  async stop(): Promise<void> {
    this.#process.assertAlive();
    await this.#process.stop('SIGTERM');
  }
}

async function certificatesFor(
  dir: string,
  pki: Pki,
  sites: readonly SiteName[],
): Promise<Map<string, Certificate>> {
  const makers: Readonly<Record<SiteName, () => Promise<Certificate>>> = {
    'shop.test': () => pki.issue('shop.test'),
    'expired.test': () => pki.issue('expired.test', { from: '20200101000000Z', until: '20210101000000Z' }),
    'not-yet.test': () => pki.issue('not-yet.test', { from: '20980101000000Z' }),
    'self-signed.test': () => pki.selfSigned('self-signed.test'),
    'wrong-name.test': () => pki.issue('wrong-name.test', { names: ['somebody-else.test'] }),
    'unknown-ca.test': async () =>
      (await Pki.make(join(dir, 'other-ca'), 'A CA nobody trusts')).issue('unknown-ca.test'),
    'client-cert.test': () => pki.issue('client-cert.test'),
  };
  const made = new Map<string, Certificate>();
  // One after the other: the CA's database is a plain file.
  for (const site of sites) made.set(site, await makers[site]());
  return made;
}

function nginxConfiguration(
  dir: string,
  pki: Pki,
  certificates: ReadonlyMap<string, Certificate>,
  { processes, connections }: NginxSize,
): string {
  const locations = `
    location /secret { return 200 "${RESPONSE_MARKER} $request_method $request_uri\\n"; }
    location /big { root ${dir}; }
    location / { return 200 "hello from $server_name over $ssl_protocol\\n"; }`;
  const hosts = [...certificates].map(
    ([name, { cert, key }], i) => `
  server {
    listen 443 ssl${i === 0 ? ' default_server' : ''};
    listen [::]:443 ssl${i === 0 ? ' default_server' : ''};
    server_name ${name};
    ssl_certificate ${cert};
    ssl_certificate_key ${key};
    ${name === 'client-cert.test' ? `ssl_verify_client on; ssl_client_certificate ${pki.ca};` : ''}
    ${locations}
  }`,
  );
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `
daemon off;
user www-data;
worker_processes ${processes};
worker_rlimit_nofile ${connections + 500};
pid ${dir}/nginx.pid;
events { worker_connections ${connections}; }
http {
  log_format world escape=json '{"host":"$host","tls":"$ssl_protocol","curve":"$ssl_curve","reused":"$ssl_session_reused",'
    '"request":"$request","status":"$status","length":"$content_length","client":"$remote_addr","agent":"$http_user_agent"}';
  access_log ${dir}/access.log world;
  ${temporary.map((name) => `${name}_temp_path ${dir}/${name};`).join('\n  ')}
  default_type text/plain;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache shared:world:1m;
  client_max_body_size 0;
  keepalive_requests 100000;
  keepalive_timeout 1h;
  ${hosts.join('')}
  server {
    listen ${PLAIN_HTTP_PORT};
    listen [::]:${PLAIN_HTTP_PORT};
    ${locations}
  }
}
`;
}
