/** The resolvers the forwarder asks: those policy names, or else those of resolv.conf(5). */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { type DnsPolicy, dnsPolicy } from '../policy/dns-names.ts';
import type { CompiledPolicy } from '../policy/types.ts';

/** glibc reads no more than three, MAXNS in resolv.h. */
const MAX_RESOLVERS = 3;

/** Addresses of the `nameserver` lines, zone indices left out: they name no other host. */
export function parseResolvConf(text: string): string[] {
  const found: string[] = [];
  for (const line of text.split('\n')) {
    const address = /^\s*nameserver\s+([0-9a-fA-F.:]+)/.exec(line)?.[1];
    if (address !== undefined && isIP(address) !== 0 && found.length < MAX_RESOLVERS) found.push(address);
  }
  return found;
}

/** None where policy says so, and on a host that has none. */
export function resolversOf(
  policy: CompiledPolicy,
  resolvConf: () => string = () => readFileSync('/etc/resolv.conf', 'utf8'),
): readonly string[] {
  if (policy.resolvers !== null) return policy.resolvers;
  try {
    return parseResolvConf(resolvConf());
  } catch {
    return [];
  }
}

/** What the forwarder needs of a policy, now. */
export function dnsPolicyOf(policy: CompiledPolicy): DnsPolicy {
  return dnsPolicy(policy, resolversOf(policy));
}
