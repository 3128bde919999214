/**
 * Host names in a policy: literal names, and `*.example.org`, which stands for exactly one more label, as
 * in certificates (RFC 9525 §6.3).
 */
import { domainToASCII } from 'node:url';
import { normaliseDnsName, normaliseIp } from '../core/dns-name.ts';

export type HostResult =
  | { readonly ok: true; readonly host: string }
  | { readonly ok: false; readonly message: string; readonly hint: string };

export function isWildcard(host: string): boolean {
  return host.startsWith('*.');
}

/** Reads one entry of `hosts`: lower case, no trailing dot, a star only as the whole first label. */
export function parseHostPattern(text: string): HostResult {
  if (text === '*') {
    return { ok: false, message: '"*" is not a host name', hint: 'leave `hosts` out to mean any name' };
  }
  const bare = isWildcard(text) ? text.slice(2) : text;
  if (normaliseIp(bare.replace(/^\[(.*)\]$/, '$1')) !== null) {
    return {
      ok: false,
      message: `"${text}" is an address, not a name`,
      hint: 'addresses go into `cidrs`; a certificate issued to an address is asked for by `tls.server_name`',
    };
  }
  const name = normaliseDnsName(bare);
  if (name === null) return { ok: false, message: `"${text}" is not a host name`, hint: hostHint(bare) };
  return { ok: true, host: isWildcard(text) ? `*.${name}` : name };
}

function hostHint(text: string): string {
  if (text.includes('*')) return 'a star may only be the whole first label: *.example.org';
  if (text.includes('://') || text.includes('/')) return 'write the name alone, without scheme and path';
  if (/:\d+$/.test(text)) return 'write the name alone; the port goes into `ports`';
  const ascii = domainToASCII(text);
  if (ascii !== '' && ascii !== text.toLowerCase()) return `write it as ${ascii}`;
  return 'labels are letters, digits, hyphens and underscores, 1 to 63 each, 253 in all';
}

/** Reads `tls.server_name`: one name or one IP address, no star. */
export function parseServerName(text: string): HostResult {
  const name = normaliseDnsName(text) ?? normaliseIp(text);
  if (name !== null) return { ok: true, host: name };
  return {
    ok: false,
    message: `"${text}" is neither a host name nor an IP address`,
    hint: isWildcard(text) ? 'one server shows one name: write it without a star' : hostHint(text),
  };
}

/** A list of patterns made ready for looking names up. */
export interface HostSet {
  readonly literal: ReadonlySet<string>;
  /** What follows the star, with its dot: `.example.org`. */
  readonly suffixes: ReadonlySet<string>;
}

export function hostSet(hosts: readonly string[]): HostSet {
  return {
    literal: new Set(hosts.filter((host) => !isWildcard(host))),
    suffixes: new Set(hosts.filter(isWildcard).map((host) => host.slice(1))),
  };
}

/** `name` is in the form of `normaliseSeenName()`. */
export function hostSetHas(set: HostSet, name: string): boolean {
  if (set.literal.has(name)) return true;
  if (set.suffixes.size === 0) return false;
  const dot = name.indexOf('.');
  return dot > 0 && set.suffixes.has(name.slice(dot));
}

/**
 * The name an agent gave, in the form policy compares; null if there is none a certificate could be issued to.
 * An address in brackets (`Host: [2001:db8::7]`) loses them.
 */
export function normaliseSeenName(name: string | null): string | null {
  if (name === null) return null;
  const bare = name.startsWith('[') && name.endsWith(']') ? name.slice(1, -1) : name;
  return normaliseDnsName(bare) ?? normaliseIp(bare);
}
