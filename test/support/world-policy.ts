/** The policy of the end-to-end tests: who the agents are, and every server of the world as a destination. */
import { FAR, SILENT } from './network.ts';
import { HTTPS_NAMES, PLAIN_HTTP_PORT } from './nginx.ts';
import { POSTGRES } from './postgres.ts';
import { RAW_PORTS, RAW_TLS_NAME } from './raw-ports.ts';
import type { World } from './world.ts';

/** Names for `sluice run --as`. */
export const AGENTS = {
  /** May go everywhere in the world, with TLS added. */
  shop: 'shop',
  /** The same, under another name: whose flow is whose must never be mixed up. */
  stock: 'stock',
  /** May speak TLS itself. */
  modern: 'modern',
  /** May speak plain text to the `plain` server, by an exempt rule. */
  legacy: 'legacy',
  /** An agent that nothing is allowed to. */
  nobody: 'nobody-may',
} as const;

export interface PolicyOptions {
  /** YAML added to `rules`, before the others. */
  readonly rules?: string;
  /** YAML after everything else. */
  readonly more?: string;
  readonly limits?: Readonly<Record<string, number>>;
}

const everyAddress = `[${FAR.ipv4}, '${FAR.ipv6}', ${SILENT}]`;

/**
 * YAML of a policy under which the world works. None of its time-outs passes because the machine is busy; a test that waits
 * for one makes that one short.
 */
export function worldPolicy(
  world: World,
  { rules = '', more = '', limits = {} }: PolicyOptions = {},
): string {
  const ca = world.pki.ca;
  const client = `client_certificate: { cert: ${world.clientCertificate.cert}, key: ${world.clientCertificate.key} }`;
  const allLimits = {
    detect_timeout_ms: 6000,
    connect_timeout_ms: 20_000,
    handshake_timeout_ms: 20_000,
    ...limits,
  };
  const raw = (name: keyof typeof RAW_PORTS, protocol: string): string => `
  - name: raw-${name}
    cidrs: ${everyAddress}
    ports: [${RAW_PORTS[name]}]
    protocol: ${protocol}
    tls: { ca: ${ca}, server_name: ${RAW_TLS_NAME} }`;
  const tlsServers = [
    'hang',
    'reset',
    'finish',
    'plain',
    'echo',
    'source',
    'slow',
    'resetLater',
    'cutShort',
  ] as const;
  const postgresServers = ['postgresRefuses', 'postgresUntrusted', 'postgresHangs'] as const;
  const web = HTTPS_NAMES.filter((name) => name !== 'client-cert.test');
  return `version: 1
trust_domain: world.test
dns:
  resolvers: [${FAR.ipv4}, '${FAR.ipv6}']
limits:
${Object.entries(allLimits)
  .map(([name, value]) => `  ${name}: ${value}`)
  .join('\n')}
agents:
${Object.values(AGENTS)
  .map((name) => `  - { name: ${name}, match: [{ run: ${name} }] }`)
  .join('\n')}
destinations:
  - name: web
    hosts: [${web.join(', ')}]
    ports: [80]
    protocol: http
    port_map: { 80: 443 }
    tls: { ca: ${ca} }
  - name: web-with-certificate
    hosts: [client-cert.test]
    ports: [80]
    protocol: http
    port_map: { 80: 443 }
    tls: { ca: ${ca}, ${client} }
  - name: web-tls
    cidrs: ${everyAddress}
    ports: [443]
    protocol: auto
    tls: { ca: ${ca} }
  - name: web-without-tls
    hosts: [plain.test]
    ports: [${PLAIN_HTTP_PORT}]
    protocol: http
    tls: { ca: ${ca} }
  - name: db
    cidrs: ${everyAddress}
    ports: [${POSTGRES.port}]
    protocol: postgres
    tls: { ca: ${ca}, server_name: ${POSTGRES.name} }
  - name: nowhere
    cidrs: ${everyAddress}
    ports: [7099]
    protocol: tls
    tls: { ca: ${ca}, server_name: ${RAW_TLS_NAME} }${tlsServers.map((name) => raw(name, 'tls')).join('')}${postgresServers
      .map((name) => raw(name, 'postgres'))
      .join('')}
rules:${rules}
  - name: legacy-plain
    agents: [${AGENTS.legacy}]
    destinations: [raw-plain]
    action: exempt
    reason: The old appliance has no TLS.
  - name: modern
    agents: [${AGENTS.modern}]
    destinations: [web-tls]
    action: allow
    passthrough: true
  - name: all-of-it
    agents: [${AGENTS.shop}, ${AGENTS.stock}]
    action: allow
    destinations: [web, web-with-certificate, web-tls, web-without-tls, db, nowhere, ${[...tlsServers, ...postgresServers].map((name) => `raw-${name}`).join(', ')}]
${more}`;
}
