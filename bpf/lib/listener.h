/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Whether the proxy's port is in the daemon's hands, in the network namespace of the socket in question. */
#ifndef SLUICE_LISTENER_H
#define SLUICE_LISTENER_H

#include "maps.h"

/* `ctx` is that of a program at connect() or at egress. */
static __always_inline bool listener_is_ours(void *ctx, struct sluice_config *config, bool v6) {
  struct bpf_sock_tuple tuple = {};
  struct bpf_sock *listener;
  __u16 port = bpf_htons(config->proxy_port);

  if (!config->proxy_port)
    return false;
  /* Source port 0 never belongs to an established connection, so only a listener can match. */
  if (v6) {
    tuple.ipv6.daddr[3] = bpf_htonl(1);
    tuple.ipv6.dport = port;
    listener = bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
  } else {
    tuple.ipv4.daddr = bpf_htonl(0x7f000001);
    tuple.ipv4.dport = port;
    listener = bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
  }
  if (!listener)
    return false;
  bool ours = false;
  if (listener->state == BPF_TCP_LISTEN) {
    struct sluice_sock *stored = bpf_sk_storage_get(&sluice_socks, listener, 0, 0);
    ours = stored && stored->role == SLUICE_ROLE_LISTENER && stored->mark == config->mark;
  }
  bpf_sk_release(listener);
  return ours;
}

#endif
