/** Where the proxies that must be asked by their own address listen: on loopback, below the ephemeral ports. */
import type { ContenderName, Endpoint, Service } from '../types.ts';

const FIRST_PORT = 7000;
const BLOCK = 20;
const NAMES: readonly ContenderName[] = ['haproxy', 'stunnel', 'naive', 'pgbouncer'];

/** Listening address of process number `index` of a contender for a service. */
export function loopbackEndpoint(name: ContenderName, service: Service, index: number): Endpoint {
  const port = FIRST_PORT + NAMES.indexOf(name) * BLOCK + index * 2 + (service === 'http' ? 0 : 1);
  return { host: '127.0.0.1', port, tls: false };
}
