/**
 * IP addresses and ranges in the one form policy compares: 32 lower-case hex digits, IPv4 as v4-mapped IPv6.
 * Equal length and alphabet make `<=` on the strings the order of the addresses, they survive JSON, and every
 * spelling of an address gives the same key.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { normaliseIp } from '../core/dns-name.ts';

/** First and last address of a range, both inclusive. */
export type AddressRange = readonly [string, string];

const MAPPED_PREFIX = '00000000000000000000ffff';
const MAPPED_FIRST = BigInt(`0x${MAPPED_PREFIX}00000000`);
const MAPPED_LAST = BigInt(`0x${MAPPED_PREFIX}ffffffff`);

let lastText = '';
let lastKey: string | null = null;

/** The key of an address; null if the text is none. Zones (`fe80::1%eth0`) mean something on one host only: null. */
export function addressKey(text: string): string | null {
  // A flow asks twice for its own, and agents mostly go where they went before.
  if (text !== lastText) {
    lastKey = keyOfText(text);
    lastText = text;
  }
  return lastKey;
}

function keyOfText(text: string): string | null {
  if (isIPv4(text)) return MAPPED_PREFIX + ipv4Hex(text);
  if (!isIPv6(text) || text.includes('%')) return null;
  return ipv6Hex(text);
}

function ipv4Hex(text: string): string {
  let value = 0;
  for (const part of text.split('.')) value = value * 256 + Number(part);
  return value.toString(16).padStart(8, '0');
}

/** `text` has been found valid, so only the places of the groups are left to work out. */
function ipv6Hex(text: string): string {
  const [head = '', tail] = text.toLowerCase().split('::');
  const before = groupsHex(head);
  const after = tail === undefined ? '' : groupsHex(tail);
  return before + '0'.repeat(32 - before.length - after.length) + after;
}

function groupsHex(text: string): string {
  if (text === '') return '';
  let hex = '';
  for (const group of text.split(':')) hex += group.includes('.') ? ipv4Hex(group) : group.padStart(4, '0');
  return hex;
}

function keyOf(value: bigint): string {
  return value.toString(16).padStart(32, '0');
}

/** Text of a key: IPv4 for v4-mapped addresses. */
export function formatAddress(key: string): string {
  const groups = key.match(/.{4}/g) ?? [];
  return normaliseIp(groups.join(':')) ?? key;
}

export type CidrResult =
  | { readonly ok: true; readonly ranges: readonly AddressRange[] }
  | { readonly ok: false; readonly message: string; readonly hint: string };

/**
 * Reads `10.0.0.0/8`, `2001:db8::/32` or a single address.
 *
 * An IPv6 range that would take in the v4-mapped block (`::/0` does) is split around it: who writes `::/0`
 * means IPv6, and a rule must not reach IPv4 destinations its author did not name.
 */
export function parseCidr(text: string): CidrResult {
  const slash = text.indexOf('/');
  const address = slash < 0 ? text : text.slice(0, slash);
  const key = addressKey(address);
  if (key === null) {
    return {
      ok: false,
      message: `"${text}" is not an IP address or range`,
      hint: 'write an address (192.0.2.7, 2001:db8::7) or a range (192.0.2.0/24); names go into `hosts`',
    };
  }
  const width = isIPv4(address) ? 32 : 128;
  const length = slash < 0 ? width : prefixLength(text.slice(slash + 1), width);
  if (length === null) {
    return {
      ok: false,
      message: `"${text}" has no valid prefix length`,
      hint: `after the slash stands a number from 0 to ${width}`,
    };
  }
  return rangeOf(text, BigInt(`0x${key}`), width - length);
}

function prefixLength(text: string, width: number): number | null {
  if (!/^(?:0|[1-9][0-9]{0,2})$/.test(text)) return null;
  const length = Number(text);
  return length <= width ? length : null;
}

function rangeOf(text: string, address: bigint, hostBits: number): CidrResult {
  const mask = (1n << BigInt(hostBits)) - 1n;
  const first = address & ~mask;
  const last = address | mask;
  if (first !== address) {
    // Refused, not rounded: one of the two numbers is a slip, and which one decides who is let through.
    const meant = `${formatAddress(keyOf(first))}/${text.slice(text.indexOf('/') + 1)}`;
    return {
      ok: false,
      message: `"${text}" has bits set beyond its prefix length`,
      hint: `the range is ${meant}; one address is ${formatAddress(keyOf(address))}`,
    };
  }
  const holdsMapped = first < MAPPED_FIRST && last >= MAPPED_LAST;
  const parts: (readonly [bigint, bigint])[] = holdsMapped
    ? [[first, MAPPED_FIRST - 1n] as const, [MAPPED_LAST + 1n, last] as const].filter(([a, b]) => a <= b)
    : [[first, last]];
  return { ok: true, ranges: parts.map(([a, b]) => [keyOf(a), keyOf(b)] as const) };
}

/** Ranges in order and without overlap, so that one binary search answers whether an address is among them. */
export function mergeRanges(ranges: readonly AddressRange[]): AddressRange[] {
  const merged: [string, string][] = [];
  for (const [first, last] of [...ranges].sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0))) {
    const previous = merged.at(-1);
    if (previous === undefined || first > previous[1]) merged.push([first, last]);
    else if (last > previous[1]) previous[1] = last;
  }
  return merged;
}

/** Whether `key` is in `ranges`, which come from `mergeRanges()`. */
export function inRanges(ranges: readonly AddressRange[], key: string): boolean {
  let low = 0;
  let high = ranges.length - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const range = ranges[middle];
    if (range === undefined) return false;
    if (key < range[0]) high = middle - 1;
    else if (key > range[1]) low = middle + 1;
    else return true;
  }
  return false;
}
