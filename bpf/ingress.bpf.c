// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Who may come in. Of datagrams to the forwarder those with a ticket, and no others: so no process that is no
 * agent can fill its queue, or ask in an agent's name.
 *
 * Who wants to be served by an agent: a SYN to its listening socket, a datagram to its unconnected one.
 * Dropped here, before the kernel answers, unless a rule of the policy names the sender: a SYN-ACK made of a
 * SYN cookie belongs to no socket and no other hook would see it leave.
 *
 * All packets of the host come by here. Those of established connections leave at the first comparison.
 */
#include "lib/datagram.h"
#include "lib/packet.h"

#define PASS 1
#define DROP 0

static __always_inline void fill_request(struct sluice_request *request, struct sluice_config *config,
                                         struct sluice_sock *sock, struct packet *packet) {
  request->agent = sock->flow.agent;
  request->generation = config->generation;
  request->local_port = packet->dport;
  request->protocol = packet->protocol;
  __builtin_memcpy(request->peer, packet->saddr, sizeof(request->peer));
}

/* A sender the rules name, who may be answered then. */
static __always_inline bool datagram_may_enter(struct __sk_buff *skb, struct sluice_request *request,
                                               struct packet *packet) {
  __u32 rule = sluice_inbound_rule(request);
  if (!rule)
    return false;
  struct sluice_peer_key peer = {.socket_cookie = bpf_get_socket_cookie(skb),
                                 .port = packet->sport,
                                 .local_port = packet->dport,
                                 .agent = request->agent};
  __builtin_memcpy(peer.addr, packet->saddr, sizeof(peer.addr));
  bpf_map_update_elem(&sluice_peers, &peer, &rule, BPF_ANY);
  return true;
}

/* The answer to a question that was sent to the forwarder. */
static __always_inline bool is_forwarders(struct __sk_buff *skb, struct sluice_config *config,
                                          struct sluice_sock *sock, struct packet *packet) {
  return packet->protocol == IPPROTO_UDP && sock->state == SLUICE_STATE_DNS && config->dns_port &&
         packet->sport == config->dns_port && is_proxy_address(packet->saddr, packet->v6) &&
         skb->ingress_ifindex == LOOPBACK_IFINDEX;
}

static __always_inline bool may_enter(struct __sk_buff *skb, struct sluice_config *config,
                                      struct sluice_sock *sock, struct packet *packet) {
  if (packet->oddity)
    return false;
  if (is_forwarders(skb, config, sock, packet))
    return true;
  /* A loopback address from elsewhere is a lie, whatever the host's settings make of it. */
  if (is_loopback(packet->saddr) && skb->ingress_ifindex != LOOPBACK_IFINDEX)
    return false;
  struct sluice_request request = {};
  fill_request(&request, config, sock, packet);
  if (packet->protocol == IPPROTO_UDP)
    return datagram_may_enter(skb, &request, packet);
  return sluice_inbound_rule(&request) != 0;
}

/* The same SYN sent again; a new attempt has another sequence number. */
static __always_inline bool sent_again(struct __sk_buff *skb, struct sluice_sock *sock,
                                       struct packet *packet) {
  __u32 seq = 0;
  if (packet->oddity || packet->protocol != IPPROTO_TCP)
    return false;
  __u32 offset = packet->v6 ? sizeof(struct ipv6_header) : sizeof(struct ipv4_header);
  if (bpf_skb_load_bytes(skb, offset + TCP_SEQ_OFFSET, &seq, sizeof(seq)))
    return false;
  if (sock->refused_seq == seq && sock->refused_port == packet->sport)
    return true;
  sock->refused_seq = seq;
  sock->refused_port = packet->sport;
  return false;
}

static __always_inline void deny(struct __sk_buff *skb, struct sluice_sock *sock, struct packet *packet) {
  struct sluice_refusal refusal = {.reason = SLUICE_REASON_INBOUND,
                                   .technique = packet->protocol == IPPROTO_UDP
                                                    ? SLUICE_TECHNIQUE_INBOUND_UDP
                                                    : SLUICE_TECHNIQUE_INBOUND_TCP,
                                   .local_port = packet->dport,
                                   .again = sent_again(skb, sock, packet)};
  struct sluice_flow flow = sock->flow;
  flow.id = 0;
  flow.start_ns = bpf_ktime_get_boot_ns();
  flow.protocol = packet->protocol;
  flow.detail = 0;
  flow.dport = packet->sport;
  __builtin_memcpy(flow.daddr, packet->saddr, sizeof(flow.daddr));
  sluice_deny(&flow, &refusal);
}

/* The datagram sockets of the daemon are the forwarder's. A priority of that size takes CAP_NET_ADMIN or
 * CAP_NET_RAW. Behind the packet filters, the ticket becomes the mark, which the forwarder is told with each
 * datagram (SO_RCVMARK). */
static __always_inline int to_daemon(struct __sk_buff *skb, struct bpf_sock *sk) {
  if (sk->state == BPF_TCP_LISTEN)
    return PASS;
  __u32 ticket = skb->priority;
  if (!(ticket & SLUICE_TICKET))
    return DROP;
  skb->mark = ticket;
  return PASS;
}

SEC("cgroup_skb/ingress")
int sluice_ingress(struct __sk_buff *skb) {
  struct bpf_sock *sk = skb->sk;
  /* Unconnected datagram sockets are in the state TCP calls closed. */
  if (!sk || (sk->state != BPF_TCP_LISTEN && sk->state != BPF_TCP_CLOSE))
    return PASS;
  struct sluice_sock *sock = bpf_sk_storage_get(&sluice_socks, sk, 0, 0);
  if (!sock)
    return PASS;
  if (sock->role == SLUICE_ROLE_LISTENER)
    return to_daemon(skb, sk);
  if (sock->role != SLUICE_ROLE_AGENT)
    return PASS;
  __u32 zero = 0;
  struct sluice_config *config = bpf_map_lookup_elem(&sluice_config, &zero);
  if (!config)
    return DROP;
  struct packet packet = {};
  read_packet(skb, &packet);
  if (may_enter(skb, config, sock, &packet))
    return PASS;
  deny(skb, sock, &packet);
  return DROP;
}

char LICENSE[] SEC("license") = "GPL";
