/**
 * Checks destinations: hosts, ranges, ports and files by themselves, and that a destination whose server is not
 * named by the protocol is not every destination.
 */
import { normaliseDnsName } from '../../core/dns-name.ts';
import { parseCidr } from '../address.ts';
import type { DestinationEntry } from '../document.ts';
import type { PolicyFiles } from '../files.ts';
import { isWildcard, parseHostPattern, parseServerName } from '../host-pattern.ts';
import { type Certificates, type PemResult, readCertificates, readKey, validityWarning } from '../pem.ts';
import { inPorts, type PortRange, parsePorts } from '../ports.ts';
import { type Cursor, checkUniqueNames } from './cursor.ts';

export function checkDestinations(destinations: Cursor, files: PolicyFiles, nowMs: number): void {
  checkUniqueNames(destinations, 'destination');
  for (const destination of destinations.items()) {
    checkValues(destination.get('hosts'), parseHostPattern);
    checkValues(destination.get('cidrs'), parseCidr);
    checkPorts(destination.get('ports'));
    checkTls(destination.get('tls'), files, nowMs);
    checkPortMap(destination);
    if (destination.clean) checkWhole(destination);
  }
}

type Parsed = { readonly ok: true } | { readonly ok: false; readonly message: string; readonly hint: string };

/** Reports each text of a list that cannot be read. */
export function checkValues(list: Cursor, parse: (text: string) => Parsed): void {
  for (const item of list.items()) checkValue(item, parse);
}

function checkValue(item: Cursor, parse: (text: string) => Parsed): void {
  const result = item.text === null ? null : parse(item.text);
  if (result?.ok === false) item.error(result.message, result.hint);
}

export function checkPorts(ports: Cursor): void {
  for (const item of ports.items()) {
    const value = portsText(item);
    if (value === null || parsePorts(value) !== null) continue;
    item.error(
      `"${value}" is not a port or range`,
      'from the lower to the higher port, 1 to 65535: "8000-8010"',
    );
  }
}

/** Null for what has been reported as neither text nor number. */
function portsText({ clean, value }: Cursor): string | number | null {
  return clean && (typeof value === 'string' || typeof value === 'number') ? value : null;
}

function checkPortMap(destination: Cursor): void {
  const map = destination.get('port_map');
  const ports = destination.get('ports');
  const ranges = ports.items().map((item) => parsePorts(portsText(item) ?? ''));
  const known = ranges.filter((range): range is PortRange => range !== null);
  for (const key of map.keys()) {
    const entry = map.get(key);
    if (!entry.clean || parsePorts(key) === null) continue;
    if (ports.clean && !inPorts(known, Number(key))) {
      entry.error(
        `port ${key} is not among the destination's ports, so this is never used`,
        'add it to `ports`',
      );
    }
  }
}

function checkTls(tls: Cursor, files: PolicyFiles, nowMs: number): void {
  checkValue(tls.get('server_name'), parseServerName);
  const ca = tls.get('ca');
  if (ca.text !== null && ca.text !== 'system') checkCertificates(ca, ca.text, files, nowMs);
  const cert = tls.get('client_certificate').get('cert');
  const key = tls.get('client_certificate').get('key');
  const certificates = cert.text === null ? null : checkCertificates(cert, cert.text, files, nowMs);
  if (key.text === null) return;
  const content = files.read(key.text);
  const result = content.ok ? readKey(content.value, certificates?.list[0] ?? null) : content;
  reportFile(key, key.text, result);
}

function checkCertificates(at: Cursor, path: string, files: PolicyFiles, nowMs: number): Certificates | null {
  const content = files.read(path);
  const result = content.ok ? readCertificates(content.value) : content;
  reportFile(at, path, result);
  if (!result.ok) return null;
  const warning = validityWarning(result.value.list, nowMs);
  if (warning !== null) at.warn(`${path}: ${warning}`, 'connections that need it will fail');
  return result.value;
}

function reportFile(at: Cursor, path: string, result: PemResult<unknown>): void {
  if (!result.ok) at.error(`${path} ${result.message}`, result.hint);
}

/** What only holds of a destination as a whole; everything in it has been found well-formed. */
function checkWhole(destination: Cursor): void {
  const entry = destination.value as DestinationEntry;
  const speaksPostgres = entry.protocol === undefined || /^(?:postgres|auto)$/.test(entry.protocol);
  if (entry.tls?.negotiation !== undefined && !speaksPostgres) {
    destination
      .get('tls')
      .get('negotiation')
      .error(
        `\`negotiation\` says how TLS begins with PostgreSQL, which \`protocol: ${entry.protocol}\` is not`,
        'leave it out, or set `protocol: postgres`',
      );
  }
  if (entry.protocol !== 'tls' && entry.protocol !== 'postgres') return;
  const wire =
    entry.protocol === 'tls' ? 'bytes wrapped unread name no server' : 'PostgreSQL clients name no server';
  if (entry.cidrs === undefined && entry.ports === undefined && !isReachedByName(entry)) {
    destination.error(
      `\`protocol: ${entry.protocol}\` needs \`cidrs\` or \`ports\``,
      `${wire}, so without them this would be every destination`,
    );
  }
}

/** Whether such a destination's `hosts` are compared with the names agents resolve; one name is only verified. */
export function isReachedByName({ hosts = [], tls }: DestinationEntry): boolean {
  const [only, ...more] = hosts.map((host) => normaliseDnsName(host) ?? host);
  if (only === undefined) return false;
  if (more.length > 0 || isWildcard(only)) return true;
  return tls?.server_name !== undefined && normaliseDnsName(tls.server_name) !== only;
}
