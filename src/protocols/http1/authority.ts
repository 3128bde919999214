/**
 * The authority of a request: `Host` field and absolute-form target (RFC 9110 §4.2, §7.2; RFC 3986 §3.2).
 */
import { normaliseDnsName, normaliseIp } from '../../core/dns-name.ts';

export interface Authority {
  /** Lower-case host name without a trailing dot, or the text of an IP address without brackets. */
  readonly host: string;
  /** Null when none was written. */
  readonly port: number | null;
}

/** `[v6]`, or anything up to a colon; then a port, which the grammar lets be empty. */
const AUTHORITY = /^(?:\[([^\]]*)\]|([^:[\]@/?#]*))(?::([0-9]{0,5}))?$/;

/** Null if it is no authority we could connect to and verify: empty, with user information, no host name. */
export function parseAuthority(text: string): Authority | null {
  const match = AUTHORITY.exec(text);
  if (match === null) return null;
  const [, bracketed, plain, digits] = match;
  const host = bracketed === undefined ? plainHost(plain ?? '') : ipv6Host(bracketed);
  if (host === null) return null;
  if (digits === undefined || digits === '') return { host, port: null };
  const port = Number(digits);
  return port >= 1 && port <= 65_535 ? { host, port } : null;
}

/** Whether both name the same place, with a port that is not written being that of the `http` scheme. */
export function sameAuthority(a: Authority, b: Authority): boolean {
  return a.host === b.host && (a.port ?? 80) === (b.port ?? 80);
}

function plainHost(text: string): string | null {
  return normaliseDnsName(text) ?? normaliseIp(text);
}

function ipv6Host(text: string): string | null {
  return text.includes(':') ? normaliseIp(text) : null;
}
