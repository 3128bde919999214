/**
 * Techniques: what was tried when something was refused, finer than the reason. `enum sluice_technique` of
 * bpf/api/sluice.h by name; docs/flow-log.md says what each is. A number is never given again.
 */
export const TECHNIQUES = {
  connect: 1,
  sendto: 2,
  socket_raw: 10,
  socket_ping: 11,
  socket_udplite: 12,
  socket_sctp: 13,
  socket_mptcp: 14,
  socket_dccp: 15,
  socket_other: 16,
  socket_state: 17,
  socket_family: 18,
  so_bindtodevice: 30,
  so_bindtoifindex: 31,
  ip_hdrincl: 32,
  ip_options: 33,
  ip_transparent: 34,
  ipv6_2292pktoptions: 35,
  ipv6_hopopts: 36,
  ipv6_rthdrdstopts: 37,
  ipv6_rthdr: 38,
  ipv6_dstopts: 39,
  ipv6_transparent: 40,
  tcp_repair: 41,
  ip_ipsec_policy: 42,
  ip_xfrm_policy: 43,
  ipv6_ipsec_policy: 44,
  ipv6_xfrm_policy: 45,
  packet_malformed: 60,
  packet_options: 61,
  packet_extension: 62,
  packet_fragment: 63,
  packet_tcp: 64,
  packet_udp: 65,
  packet_icmp: 66,
  packet_protocol: 67,
  bind: 80,
  inbound_tcp: 81,
  inbound_udp: 82,
  foreign_send: 90,
  foreign_accept: 91,
  foreign_receive: 92,
  foreign_connect: 93,
  foreign_mount: 94,
  unix_connect: 100,
  unix_send: 101,
  unix_receive: 102,
} as const;

export type Technique = keyof typeof TECHNIQUES;

const byNumber: ReadonlyMap<number, Technique> = new Map(
  Object.entries(TECHNIQUES).map(([name, number]) => [number, name as Technique]),
);

/** Null for none, and for a number this version does not know. */
export function techniqueOf(number: number): Technique | null {
  return byNumber.get(number) ?? null;
}

/** How often an agent was refused by a technique since the pins were made; exact. */
export interface Denials {
  readonly agentId: number;
  /** Null for one this version does not know. */
  readonly technique: Technique | null;
  readonly count: bigint;
}
