/** The resolvers agents may ask by UDP when policy names none: those of resolv.conf(5). */
import { isIP } from 'node:net';

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
