// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * The last line: every IP packet of an agent's socket, whatever brought it about. It reads the packet's own
 * headers, not the socket's route (source routing leaves that on loopback), and lets out only plain TCP over
 * loopback to the proxy, DNS to the forwarder, and answers to whom an inbound rule names. No options, no
 * extension headers, no fragments, no other protocol.
 */
#include "lib/datagram.h"
#include "lib/listener.h"
#include "lib/netns.h"
#include "lib/packet.h"

#define PASS 1
#define DROP 0
#define DROP_QUIETLY 2 /* the sender is told of congestion at most, where DROP is EPERM to it */

static __always_inline bool is_for_daemon(struct __sk_buff *skb, struct packet *packet) {
  return packet->dport && is_proxy_address(packet->daddr, packet->v6) && skb->ifindex == LOOPBACK_IFINDEX;
}

static __always_inline bool same_address(const __u32 *addr, const __u8 *bytes) {
  __u32 other[4];
  __builtin_memcpy(other, bytes, sizeof(other));
  return addr[0] == other[0] && addr[1] == other[1] && addr[2] == other[2] && addr[3] == other[3];
}

/* Only a connection that was taken in: what an agent's own listener accepts has no tuple. This hook comes
 * after address translation, which whoever owns the network namespace may have set up: both ends must be the
 * ones the flow was published under, or it would be attributed to another. And only to the daemon, looked at
 * once more as it begins: a SYN is sent again, or first (Fast Open), long after connect() has looked, and by
 * then the port may be somebody else's. */
static __always_inline bool may_go_to_proxy(struct __sk_buff *skb, struct sluice_config *config,
                                            struct sluice_sock *sock, struct packet *packet) {
  if (!is_for_daemon(skb, packet) || packet->sport != sock->tuple.sport ||
      packet->dport != sock->tuple.dport || !same_address(packet->saddr, sock->tuple.saddr))
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
  if (!is_for_daemon(skb, packet) || packet->dport != config->dns_port || sock->state != SLUICE_STATE_DNS)
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

/* A connection that was accepted by an inbound rule keeps what it began with; the answer to a SYN is sent
 * before there is one, and asks the rules. */
static __always_inline bool may_serve(struct bpf_sock *sk, struct sluice_config *config,
                                      struct sluice_sock *sock, struct packet *packet) {
  if (sock->state == SLUICE_STATE_SERVING)
    return packet->dport == sock->flow.dport && same_address(packet->daddr, sock->flow.daddr);
  if (sk->state != BPF_TCP_LISTEN || packet->tcp_flags != (TCP_FLAG_SYN | TCP_FLAG_ACK))
    return false;
  struct sluice_request request = {.agent = sock->flow.agent,
                                   .generation = config->generation,
                                   .local_port = packet->sport,
                                   .protocol = IPPROTO_TCP};
  __builtin_memcpy(request.peer, packet->daddr, sizeof(request.peer));
  return sluice_inbound_rule(&request) != 0;
}

static __always_inline bool may_answer(struct __sk_buff *skb, struct sluice_config *config,
                                       struct sluice_sock *sock, struct packet *packet) {
  struct sluice_peer_key peer = {.socket_cookie = bpf_get_socket_cookie(skb),
                                 .port = packet->dport,
                                 .local_port = packet->sport,
                                 .agent = sock->flow.agent};
  __builtin_memcpy(peer.addr, packet->daddr, sizeof(peer.addr));
  return sluice_may_answer(&peer, config->generation);
}

static __always_inline bool may_leave(struct __sk_buff *skb, struct bpf_sock *sk,
                                      struct sluice_config *config, struct sluice_sock *sock,
                                      struct packet *packet) {
  if (packet->oddity)
    return false;
  if (packet->protocol == IPPROTO_UDP)
    return may_go_to_forwarder(skb, config, sock, packet) || may_answer(skb, config, sock, packet);
  return may_go_to_proxy(skb, config, sock, packet) || may_serve(sk, config, sock, packet);
}

/* The SYN of a held connection is dropped without a word until the daemon listens in its network namespace.
 */
static __always_inline bool syn_waits(struct sluice_config *config, struct sluice_sock *sock,
                                      struct packet *packet) {
  return sock->held && (packet->tcp_flags & TCP_FLAG_SYN) && packet->sport == sock->tuple.sport &&
         packet->dport == sock->tuple.dport &&
         netns_want_listener(config, sock->flow.netns_cookie, sock->flow.pid, true);
}

/* A question that is earlier than the forwarder's socket is given to the daemon, which passes it on when it
 * has opened one. Resolvers would send it again, but only after seconds. */
static __always_inline bool question_waits(struct __sk_buff *skb, struct sluice_config *config,
                                           struct sluice_sock *sock, struct packet *packet) {
  if (packet->protocol != IPPROTO_UDP || packet->dport != config->dns_port ||
      sock->state != SLUICE_STATE_DNS || !netns_may_be_served(config, sock->flow.netns_cookie))
    return false;
  __u32 offset = (packet->v6 ? sizeof(struct ipv6_header) : sizeof(struct ipv4_header)) + UDP_HEADER_BYTES;
  /* One less than its length, so that none at all is too much. */
  __u32 last = skb->len - offset - 1;
  if (last >= SLUICE_QUESTION_MAX)
    return false;
  struct sluice_netns_event *event = bpf_ringbuf_reserve(&sluice_ring_netns, sizeof(*event), 0);
  if (!event)
    return true;
  netns_fill_event(event, sock->flow.netns_cookie, sock->flow.pid);
  event->flow = sock->flow;
  event->flow.id = sluice_next_id();
  event->flow.start_ns = bpf_ktime_get_boot_ns();
  event->port = packet->sport;
  __builtin_memcpy(event->sender, packet->saddr, sizeof(event->sender));
  /* The same once more: 6.1 has forgotten the comparison by here. A power of two, so this changes nothing. */
  asm volatile("" : "+r"(last));
  __u32 length = (last & (SLUICE_QUESTION_MAX - 1)) + 1;
  if (bpf_skb_load_bytes(skb, offset, event->question, length)) {
    bpf_ringbuf_discard(event, 0);
    return false;
  }
  event->length = length;
  bpf_ringbuf_submit(event, 0);
  return true;
}

static __always_inline bool waits(struct __sk_buff *skb, struct sluice_config *config,
                                  struct sluice_sock *sock, struct packet *packet) {
  return !packet->oddity && is_for_daemon(skb, packet) &&
         (syn_waits(config, sock, packet) || question_waits(skb, config, sock, packet));
}

/* A worker's connection from an agent's network namespace goes to the address policy has decided about, and
 * to no other that address translation there would put in its place. */
static __always_inline int judge_upstream(volatile struct bpf_sock *sk, struct packet *packet) {
  /* The socket may only be read at fixed offsets: volatile keeps the compiler from merging the two reads. */
  __u32 peer[4] = {0, 0, bpf_htonl(0xffff), sk->dst_ip4};
  if (packet->v6) {
    peer[0] = sk->dst_ip6[0];
    peer[1] = sk->dst_ip6[1];
    peer[2] = sk->dst_ip6[2];
    peer[3] = sk->dst_ip6[3];
  }
  if (!packet->oddity && packet->protocol == IPPROTO_TCP && packet->dport == bpf_ntohs(sk->dst_port) &&
      same_address(packet->daddr, (const __u8 *)peer))
    return PASS;
  sluice_count(2 + SLUICE_REASON_EGRESS);
  return DROP;
}

/* What the daemon's ends send an agent is in plain text: it stays on loopback, whatever the packet filters of
 * a network namespace have made of its address. */
static __always_inline int judge_own(struct __sk_buff *skb) {
  if (skb->ifindex == LOOPBACK_IFINDEX)
    return PASS;
  sluice_count(2 + SLUICE_REASON_EGRESS);
  return DROP;
}

static __always_inline void deny(struct sluice_sock *sock, struct packet *packet) {
  bool udp = !packet->oddity && packet->protocol == IPPROTO_UDP;
  struct sluice_refusal refusal = {.reason = udp ? SLUICE_REASON_UDP : SLUICE_REASON_EGRESS,
                                   .technique = packet->oddity ? packet->oddity
                                                : udp          ? SLUICE_TECHNIQUE_PACKET_UDP
                                                               : SLUICE_TECHNIQUE_PACKET_TCP};
  struct sluice_flow flow = sock->flow;
  flow.id = 0;
  flow.start_ns = bpf_ktime_get_boot_ns();
  flow.protocol = packet->protocol;
  flow.detail = packet->detail;
  flow.dport = packet->dport;
  __builtin_memcpy(flow.daddr, packet->daddr, sizeof(flow.daddr));
  sluice_deny(&flow, &refusal);
}

SEC("cgroup_skb/egress")
int sluice_egress(struct __sk_buff *skb) {
  struct bpf_sock *sk = skb->sk;
  if (!sk)
    return PASS;
  struct sluice_sock *sock = bpf_sk_storage_get(&sluice_socks, sk, 0, 0);
  if (!sock)
    return PASS;
  if (sock->role == SLUICE_ROLE_LISTENER || sock->role == SLUICE_ROLE_ACCEPTED)
    return judge_own(skb);
  __u32 zero = 0;
  struct sluice_config *config = bpf_map_lookup_elem(&sluice_config, &zero);
  if (!config)
    return DROP;
  struct packet packet = {};
  read_packet(skb, &packet);
  if (sock->role == SLUICE_ROLE_UPSTREAM)
    return judge_upstream(sk, &packet);
  if (may_leave(skb, sk, config, sock, &packet))
    return PASS;
  if (waits(skb, config, sock, &packet))
    return DROP_QUIETLY;
  deny(sock, &packet);
  return DROP;
}

char LICENSE[] SEC("license") = "GPL";
