// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * The last line: every IP packet of an agent's socket, whatever brought it about. It reads the packet's own
 * headers, not the socket's route (source routing leaves that on loopback), and lets out only plain TCP over
 * loopback to the proxy and DNS to the forwarder. No options, no extension headers, no fragments.
 */
#include "lib/datagram.h"
#include "lib/listener.h"

#define PASS 1
#define DROP 0

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
  __u8 saddr[16];
  __u8 daddr[16];
};

/* What TCP and UDP headers begin with; behind the ports UDP has its length, and may end before the flags. */
struct ports {
  __u16 source;
  __u16 dest;
};

#define TCP_FLAGS_OFFSET 13
#define TCP_FLAG_SYN 0x02

/* What of a packet decides: nothing else of it is looked at. */
struct packet {
  __u32 daddr[4];
  __u16 sport;
  __u16 dport;
  __u8 protocol;
  __u8 tcp_flags;
  bool v6;
  bool plain;       /* no options, extension headers or fragments, and the ports could be read */
  bool to_loopback; /* to the very address the listeners have: others of 127/8 are anybody's */
};

static __always_inline void read_ports(struct __sk_buff *skb, struct packet *packet, __u32 offset) {
  struct ports ports = {};
  if (bpf_skb_load_bytes(skb, offset, &ports, sizeof(ports)))
    return;
  if (packet->protocol == IPPROTO_TCP &&
      bpf_skb_load_bytes(skb, offset + TCP_FLAGS_OFFSET, &packet->tcp_flags, sizeof(packet->tcp_flags)))
    return;
  packet->sport = bpf_ntohs(ports.source);
  packet->dport = bpf_ntohs(ports.dest);
  packet->plain = true;
}

static __always_inline void read_ipv4(struct __sk_buff *skb, struct packet *packet) {
  struct ipv4_header header = {};
  if (bpf_skb_load_bytes(skb, 0, &header, sizeof(header)))
    return;
  packet->daddr[2] = bpf_htonl(0xffff);
  packet->daddr[3] = header.daddr;
  packet->protocol = header.protocol;
  packet->to_loopback = header.daddr == bpf_htonl(0x7f000001);
  if (header.version_ihl != 0x45 || (header.fragment & bpf_htons(0x3fff)))
    return;
  read_ports(skb, packet, sizeof(header));
}

static __always_inline void read_ipv6(struct __sk_buff *skb, struct packet *packet) {
  struct ipv6_header header = {};
  if (bpf_skb_load_bytes(skb, 0, &header, sizeof(header)))
    return;
  __builtin_memcpy(packet->daddr, header.daddr, sizeof(packet->daddr));
  packet->protocol = header.next_header;
  packet->v6 = true;
  packet->to_loopback = packet->daddr[0] == 0 && packet->daddr[1] == 0 && packet->daddr[2] == 0 &&
                        packet->daddr[3] == bpf_htonl(1);
  read_ports(skb, packet, sizeof(header));
}

/* Only a connection that was taken in: what an agent's own listener accepts has no tuple. And only to the
 * daemon, looked at once more as it begins: a SYN is sent again, or first (Fast Open), long after connect()
 * has looked, and by then the port may be somebody else's. */
static __always_inline bool may_go_to_proxy(struct __sk_buff *skb, struct sluice_config *config,
                                            struct sluice_sock *sock, struct packet *packet) {
  if (!packet->dport || packet->sport != sock->tuple.sport)
    return false;
  if (packet->dport != config->proxy_port && packet->dport != config->dns_port)
    return false;
  return !(packet->tcp_flags & TCP_FLAG_SYN) || listener_is_ours(skb, config, packet->dport, packet->v6);
}

/*
 * DNS to the forwarder. The datagram carries a ticket in its priority, from which the forwarder learns whose
 * it is: unlike a table by source address, it cannot be confused by two sockets that share a port, and unlike
 * the mark it is left alone by the packet filters of the host.
 */
static __always_inline bool may_go_to_forwarder(struct __sk_buff *skb, struct sluice_config *config,
                                                struct sluice_sock *sock, struct packet *packet) {
  if (!config->dns_port || packet->dport != config->dns_port || sock->state != SLUICE_STATE_DNS)
    return false;
  if (!forwarder_is_ours(skb, config, packet->v6))
    return false;
  struct sluice_flow flow = sock->flow;
  flow.id = sluice_next_id();
  flow.start_ns = bpf_ktime_get_boot_ns();
  __u32 ticket = (__u32)flow.id | SLUICE_TICKET;
  if (bpf_map_update_elem(&sluice_datagrams, &ticket, &flow, BPF_ANY))
    return false;
  skb->priority = ticket;
  return true;
}

static __always_inline bool may_leave(struct __sk_buff *skb, struct sluice_config *config,
                                      struct sluice_sock *sock, struct packet *packet) {
  if (!packet->plain || !packet->to_loopback || skb->ifindex != LOOPBACK_IFINDEX)
    return false;
  if (packet->protocol == IPPROTO_TCP)
    return may_go_to_proxy(skb, config, sock, packet);
  if (packet->protocol == IPPROTO_UDP)
    return may_go_to_forwarder(skb, config, sock, packet);
  return false;
}

SEC("cgroup_skb/egress")
int sluice_egress(struct __sk_buff *skb) {
  struct bpf_sock *sk = skb->sk;
  if (!sk)
    return PASS;
  struct sluice_sock *sock = bpf_sk_storage_get(&sluice_socks, sk, 0, 0);
  if (!sock || sock->role != SLUICE_ROLE_AGENT)
    return PASS;
  __u32 zero = 0;
  struct sluice_config *config = bpf_map_lookup_elem(&sluice_config, &zero);
  if (!config)
    return DROP;
  struct packet packet = {};
  if (skb->protocol == bpf_htons(0x0800))
    read_ipv4(skb, &packet);
  else if (skb->protocol == bpf_htons(0x86dd))
    read_ipv6(skb, &packet);
  if (may_leave(skb, config, sock, &packet))
    return PASS;
  sluice_deny_packet(sock, packet.protocol == IPPROTO_UDP ? SLUICE_REASON_UDP : SLUICE_REASON_EGRESS,
                     packet.daddr, packet.dport, packet.protocol);
  return DROP;
}

char LICENSE[] SEC("license") = "GPL";
