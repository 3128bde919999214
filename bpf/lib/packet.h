/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What of a packet decides, read from its own headers, on its way in or out. Nothing else of it is looked at.
 */
#ifndef SLUICE_PACKET_H
#define SLUICE_PACKET_H

#include "kernel.h"

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
/*
 * More fragments, and the offset; not DF. On its way out a packet comes by before the kernel cuts it
 * (ip_finish_output and ip6_finish_output ask the hook, then fragment), so what a TCP or UDP socket sends is
 * seen whole, however narrow the way. Fragments are seen of those who make them themselves: raw sockets,
 * which agents may have from before they were agents.
 */
#define IPV4_FRAGMENT 0x3fff

/* IPv6 next headers that stand before the transport (IANA, IPv6 Extension Header Types). */
#define NEXT_HOPOPTS 0
#define NEXT_ROUTING 43
#define NEXT_FRAGMENT 44
#define NEXT_AUTH 51
#define NEXT_DSTOPTS 60
#define NEXT_MOBILITY 135
#define NEXT_HIP 139
#define NEXT_SHIM6 140

#define UDP_HEADER_BYTES 8
#define TCP_SEQ_OFFSET 4
#define TCP_FLAGS_OFFSET 13
#define TCP_FLAG_SYN 0x02
#define TCP_FLAG_ACK 0x10

struct ipv4_header {
  __u8 version_ihl;
  __u8 tos;
  __u16 length;
  __u16 id;
  __u16 fragment;
  __u8 ttl;
  __u8 protocol;
  __u16 checksum;
  __u32 saddr;
  __u32 daddr;
};

struct ipv6_header {
  __u32 version_class_flow;
  __u16 payload_length;
  __u8 next_header;
  __u8 hop_limit;
  __u32 saddr[4];
  __u32 daddr[4];
};

/* What TCP and UDP headers begin with; behind the ports UDP has its length, and may end before the flags. */
struct ports {
  __u16 source;
  __u16 dest;
};

struct packet {
  __u32 saddr[4]; /* v4 in v4-mapped form */
  __u32 daddr[4];
  __u16 sport;
  __u16 dport;
  __u16 detail; /* of ICMP: type << 8 | code */
  __u8 protocol;
  __u8 tcp_flags;
  __u8 oddity; /* SLUICE_TECHNIQUE_PACKET_*, if it is anything but plain TCP or UDP */
  bool v6;
};

static __always_inline void read_transport(struct __sk_buff *skb, struct packet *packet, __u32 offset) {
  struct ports start = {};
  packet->oddity = SLUICE_TECHNIQUE_PACKET_MALFORMED;
  if (bpf_skb_load_bytes(skb, offset, &start, sizeof(start)))
    return;
  if (packet->protocol == IPPROTO_TCP) {
    if (bpf_skb_load_bytes(skb, offset + TCP_FLAGS_OFFSET, &packet->tcp_flags, sizeof(packet->tcp_flags)))
      return;
  } else if (packet->protocol == IPPROTO_ICMP || packet->protocol == IPPROTO_ICMPV6) {
    packet->oddity = SLUICE_TECHNIQUE_PACKET_ICMP;
    packet->detail = bpf_ntohs(start.source);
    return;
  } else if (packet->protocol != IPPROTO_UDP) {
    packet->oddity = SLUICE_TECHNIQUE_PACKET_PROTOCOL;
    return;
  }
  packet->sport = bpf_ntohs(start.source);
  packet->dport = bpf_ntohs(start.dest);
  packet->oddity = SLUICE_TECHNIQUE_NONE;
}

static __always_inline void read_ipv4(struct __sk_buff *skb, struct packet *packet) {
  struct ipv4_header header = {};
  if (bpf_skb_load_bytes(skb, 0, &header, sizeof(header)))
    return;
  packet->saddr[2] = bpf_htonl(0xffff);
  packet->saddr[3] = header.saddr;
  packet->daddr[2] = bpf_htonl(0xffff);
  packet->daddr[3] = header.daddr;
  packet->protocol = header.protocol;
  if (header.version_ihl >> 4 != 4)
    return;
  if (header.version_ihl != 0x45)
    packet->oddity = SLUICE_TECHNIQUE_PACKET_OPTIONS;
  else if (header.fragment & bpf_htons(IPV4_FRAGMENT))
    packet->oddity = SLUICE_TECHNIQUE_PACKET_FRAGMENT;
  else
    read_transport(skb, packet, sizeof(header));
}

static __always_inline void read_ipv6(struct __sk_buff *skb, struct packet *packet) {
  struct ipv6_header header = {};
  packet->v6 = true;
  if (bpf_skb_load_bytes(skb, 0, &header, sizeof(header)))
    return;
  __builtin_memcpy(packet->saddr, header.saddr, sizeof(packet->saddr));
  __builtin_memcpy(packet->daddr, header.daddr, sizeof(packet->daddr));
  packet->protocol = header.next_header;
  if ((header.version_class_flow & bpf_htonl(0xf0000000)) != bpf_htonl(0x60000000))
    return;
  switch (header.next_header) {
  case NEXT_HOPOPTS:
  case NEXT_ROUTING:
  case NEXT_AUTH:
  case NEXT_DSTOPTS:
  case NEXT_MOBILITY:
  case NEXT_HIP:
  case NEXT_SHIM6:
    packet->oddity = SLUICE_TECHNIQUE_PACKET_EXTENSION;
    return;
  case NEXT_FRAGMENT:
    packet->oddity = SLUICE_TECHNIQUE_PACKET_FRAGMENT;
    return;
  default:
    read_transport(skb, packet, sizeof(header));
  }
}

/* Leaves `oddity` at malformed for what cannot be read. */
static __always_inline void read_packet(struct __sk_buff *skb, struct packet *packet) {
  packet->oddity = SLUICE_TECHNIQUE_PACKET_MALFORMED;
  if (skb->protocol == bpf_htons(ETHERTYPE_IPV4))
    read_ipv4(skb, packet);
  else if (skb->protocol == bpf_htons(ETHERTYPE_IPV6))
    read_ipv6(skb, packet);
}

/* 127/8, or ::1. */
static __always_inline bool is_loopback(const __u32 *addr) {
  if (addr[0] || addr[1])
    return false;
  if (addr[2] == bpf_htonl(0xffff))
    return (addr[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
  return addr[2] == 0 && addr[3] == bpf_htonl(1);
}

/* The very addresses the listeners have: others of 127/8 are anybody's. */
static __always_inline bool is_proxy_address(const __u32 *addr, bool v6) {
  if (v6)
    return is_loopback(addr) && addr[2] == 0;
  return addr[3] == bpf_htonl(0x7f000001);
}

#endif
