/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Whether a port of the proxy is in the daemon's hands, in the network namespace of the socket in question.
 */
#ifndef SLUICE_LISTENER_H
#define SLUICE_LISTENER_H

#include "maps.h"

/* Without branches: sixteen of them would be as many paths for the verifier. */
static __always_inline bool is_proxy_port(struct sluice_config *config, __u16 port) {
  __u32 found = 0;
  for (int at = 0; at < SLUICE_PROXY_PORTS; at++)
    found |= ((__u32)(config->proxy_ports[at] ^ port) - 1) >> 31;
  return port && found;
}

/* All ports in turn, so that none runs out of local ports before the others. */
static __always_inline __u16 proxy_port_for(struct sluice_config *config, __u64 flow_id) {
  __u32 count = config->proxy_port_count;
  return count ? config->proxy_ports[(__u32)flow_id % count & (SLUICE_PROXY_PORTS - 1)] : 0;
}

/* Source port 0 never belongs to an established connection, so only a listener can match. */
static __always_inline __u32 listener_tuple(struct bpf_sock_tuple *tuple, __u16 port, bool v6) {
  if (v6) {
    tuple->ipv6.daddr[3] = bpf_htonl(1);
    tuple->ipv6.dport = bpf_htons(port);
    return sizeof(tuple->ipv6);
  }
  tuple->ipv4.daddr = bpf_htonl(0x7f000001);
  tuple->ipv4.dport = bpf_htons(port);
  return sizeof(tuple->ipv4);
}

/* Between two daemons connections wait in the queues of the listeners, which both have, for so long at most.
 */
static __always_inline bool mark_is_good(struct sluice_config *config) {
  __u64 until = config->hold_until_ns;
  return config->mark && (!until || bpf_ktime_get_boot_ns() < until);
}

static __always_inline bool has_mark(struct bpf_sock *sk, struct sluice_config *config) {
  struct sluice_sock *stored = bpf_sk_storage_get(&sluice_socks, sk, 0, 0);
  return stored && stored->role == SLUICE_ROLE_LISTENER && stored->mark == config->mark &&
         mark_is_good(config);
}

/* `ctx` is that of a program at connect(), at sendmsg() or at egress, here and below. */
static __always_inline bool listener_is_ours(void *ctx, struct sluice_config *config, __u16 port, bool v6) {
  struct bpf_sock_tuple tuple = {};
  struct bpf_sock *listener;

  if (!port)
    return false;
  /* Two calls: the size must be a constant for the verifier. */
  if (listener_tuple(&tuple, port, v6) == sizeof(tuple.ipv6))
    listener = bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
  else
    listener = bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
  if (!listener)
    return false;
  bool ours = listener->state == BPF_TCP_LISTEN && has_mark(listener, config);
  bpf_sk_release(listener);
  return ours;
}

/* The same of the forwarder's datagram socket, which nobody else can bind beside. */
static __always_inline bool forwarder_is_ours(void *ctx, struct sluice_config *config, bool v6) {
  struct bpf_sock_tuple tuple = {};
  struct bpf_sock *forwarder;

  if (!config->dns_port)
    return false;
  if (listener_tuple(&tuple, config->dns_port, v6) == sizeof(tuple.ipv6))
    forwarder = bpf_sk_lookup_udp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
  else
    forwarder = bpf_sk_lookup_udp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
  if (!forwarder)
    return false;
  bool ours = has_mark(forwarder, config);
  bpf_sk_release(forwarder);
  return ours;
}

#endif
