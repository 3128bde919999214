/**
 * Says what was refused in the kernel, in words: which option, which kind of socket, which packet, who asked. The
 * numbers are the kernel's (linux/in.h, linux/socket.h, IANA); one without a name here is given as a number.
 */
import type { KernelEvent, Refusal } from '../kernel/events.ts';
import { REASON_TEXT } from './reasons.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const FAMILIES: Readonly<Record<number, string>> = {
  1: 'AF_UNIX',
  [AF_INET]: 'AF_INET',
  [AF_INET6]: 'AF_INET6',
  15: 'AF_KEY',
  17: 'AF_PACKET',
  21: 'AF_RDS',
  26: 'AF_LLC',
  29: 'AF_CAN',
  30: 'AF_TIPC',
  31: 'AF_BLUETOOTH',
  40: 'AF_VSOCK',
  43: 'AF_SMC',
  44: 'AF_XDP',
};

const SOCKET_TYPES: Readonly<Record<number, string>> = {
  1: 'SOCK_STREAM',
  2: 'SOCK_DGRAM',
  3: 'SOCK_RAW',
  5: 'SOCK_SEQPACKET',
  6: 'SOCK_DCCP',
};

const PROTOCOLS: Readonly<Record<number, string>> = {
  0: 'IPPROTO_IP',
  1: 'IPPROTO_ICMP',
  2: 'IPPROTO_IGMP',
  4: 'IPPROTO_IPIP',
  6: 'IPPROTO_TCP',
  17: 'IPPROTO_UDP',
  33: 'IPPROTO_DCCP',
  41: 'IPPROTO_IPV6',
  43: 'IPPROTO_ROUTING',
  44: 'IPPROTO_FRAGMENT',
  47: 'IPPROTO_GRE',
  50: 'IPPROTO_ESP',
  51: 'IPPROTO_AH',
  58: 'IPPROTO_ICMPV6',
  60: 'IPPROTO_DSTOPTS',
  132: 'IPPROTO_SCTP',
  136: 'IPPROTO_UDPLITE',
  255: 'IPPROTO_RAW',
  262: 'IPPROTO_MPTCP',
};

const LEVELS: Readonly<Record<number, string>> = {
  0: 'SOL_IP',
  1: 'SOL_SOCKET',
  6: 'SOL_TCP',
  41: 'SOL_IPV6',
};

function nameOf(names: Readonly<Record<number, string>>, number: number): string {
  return names[number] ?? String(number);
}

function socketText(detail: number): string {
  const family = nameOf(FAMILIES, detail >>> 24);
  const type = nameOf(SOCKET_TYPES, (detail >>> 16) & 0xff);
  return `socket(${family}, ${type}, ${nameOf(PROTOCOLS, detail & 0xffff)})`;
}

/** Options are named as their constants are, so the technique's name is the option's. */
function optionText({ technique, detail }: Refusal): string {
  const level = nameOf(LEVELS, detail >>> 16);
  const option = technique === null ? String(detail & 0xffff) : technique.toUpperCase();
  return `setsockopt(${level}, ${option})`;
}

const ODDITIES: Readonly<Record<string, string>> = {
  packet_malformed: 'a packet that could not be read',
  packet_options: 'a packet with IPv4 options',
  packet_extension: 'a packet with an IPv6 extension header',
  packet_fragment: 'a fragment',
};

function packetText({ technique, protocol, detail }: Refusal, to: string): string {
  const name = nameOf(PROTOCOLS, protocol);
  if (technique === 'packet_icmp') return `${name} type ${detail >>> 8} code ${detail & 0xff} to ${to}`;
  const oddity = ODDITIES[technique ?? ''];
  return oddity === undefined ? `${name} to ${to}` : `${oddity} (${name}) to ${to}`;
}

const USES: Readonly<Record<string, string>> = {
  foreign_send: 'sending on',
  foreign_accept: 'accepting from',
  foreign_receive: 'being given',
  foreign_connect: 'connect() on',
  unix_connect: 'connect() to',
  unix_send: 'sending to',
  unix_receive: 'being given a connection to',
};

function foreignText({ technique, detail }: Refusal, to: string): string {
  if (technique === 'foreign_mount') return 'mount() of a file system that the kernel connects';
  const family = detail >>> 24;
  const isInternet = family === AF_INET || family === AF_INET6;
  return `${USES[technique ?? ''] ?? 'using'} ${socketText(detail)}${isInternet ? ` with ${to}` : ''}`;
}

function endpoint(ip: string, port: number): string {
  if (port === 0) return ip;
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

function subject({ reason, refusal, inbound, facts }: KernelEvent, unixPath: UnixPath): string | null {
  if (refusal === null) return null;
  const other = endpoint(facts.dstIp, facts.dstPort);
  switch (reason) {
    case 'option_denied':
      return optionText(refusal);
    case 'socket_denied':
      return refusal.technique === 'connect'
        ? `connect() on ${socketText(refusal.detail)}`
        : socketText(refusal.detail);
    case 'egress_denied':
    case 'udp_denied':
      return packetText(refusal, other);
    case 'foreign_socket':
      return foreignText(refusal, other);
    case 'unix_denied':
      return `${USES[refusal.technique ?? ''] ?? 'using'} ${unixPath(refusal.detail) ?? 'a Unix socket'}`;
    case 'inbound_denied':
      return refusal.technique === 'bind'
        ? `bind() to port ${inbound?.localPort ?? '?'}`
        : `${nameOf(PROTOCOLS, refusal.protocol)} from ${other} to port ${inbound?.localPort ?? '?'}`;
    default:
      return null;
  }
}

/** The path that policy closes to agents, by its id in the kernel. */
export type UnixPath = (id: number) => string | null;

/** One sentence or two for the `detail` of a record. */
export function refusalText(event: KernelEvent, unixPath: UnixPath = () => null): string | null {
  const { reason } = event;
  if (reason === null) return null;
  const of = subject(event, unixPath);
  return of === null ? REASON_TEXT[reason] : `${of}: ${REASON_TEXT[reason]}`;
}
