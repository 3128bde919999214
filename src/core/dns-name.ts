/**
 * Host names as agents write them (HTTP Host, SNI), brought to the one form that policy matches and that
 * certificates are verified against. A name with two spellings would be a way around a rule that lists one.
 *
 * Accepted: labels of letters, digits and hyphens that do not begin or end with a hyphen (RFC 1123 §2.1,
 * RFC 5890 §2.3.1), 1 to 63 bytes, 253 in all; and underscores, which are no host name by the RFC but are
 * what container networks call their services.
 */
import { isIPv4, isIPv6, SocketAddress } from 'node:net';

/** RFC 1035 §2.3.4 allows 255 bytes on the wire, which are 253 characters of text. */
const DNS_NAME_MAX_LENGTH = 253;

const LABEL = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?';
const NAME = new RegExp(`^${LABEL}(?:\\.${LABEL})*$`);
/** What some resolvers read as an IPv4 address in another spelling: 127.1, 0x7f000001, 2130706433. */
const NUMERIC = /^(?:[0-9]+|0x[0-9a-f]*)$/;

/** Lower case, without a trailing dot; null if it is no host name (an IP address is none). */
export function normaliseDnsName(text: string): string | null {
  const name = (text.endsWith('.') ? text.slice(0, -1) : text).toLowerCase();
  if (name.length === 0 || name.length > DNS_NAME_MAX_LENGTH) return null;
  if (!NAME.test(name)) return null;
  return NUMERIC.test(name.slice(name.lastIndexOf('.') + 1)) ? null : name;
}

/**
 * The shortest usual text of an IP address without brackets, v4-mapped addresses as IPv4 as everywhere in
 * Sluice; null if it is none. Zone identifiers are refused: they mean something on one host only.
 */
export function normaliseIp(text: string): string | null {
  if (isIPv4(text)) return text;
  if (!isIPv6(text) || text.includes('%')) return null;
  const { address } = new SocketAddress({ address: text, family: 'ipv6' });
  const mapped = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : '';
  return isIPv4(mapped) ? mapped : address;
}
