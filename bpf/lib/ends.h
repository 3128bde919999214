/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The two ends of a connection, as sockops programs are told them. The context may only be read at fixed
 * offsets, so the compiler must not merge the two ends into one load with a computed address: hence volatile,
 * and a function for each end.
 */
#ifndef SLUICE_ENDS_H
#define SLUICE_ENDS_H

#include "kernel.h"

static __always_inline void local_addr(__u8 *out, volatile struct bpf_sock_ops *ops) {
  __u32 addr[4] = {0, 0, bpf_htonl(0xffff), ops->local_ip4};
  if (ops->family == AF_INET6) {
    addr[0] = ops->local_ip6[0];
    addr[1] = ops->local_ip6[1];
    addr[2] = ops->local_ip6[2];
    addr[3] = ops->local_ip6[3];
  }
  __builtin_memcpy(out, addr, sizeof(addr));
}

static __always_inline void remote_addr(__u8 *out, volatile struct bpf_sock_ops *ops) {
  __u32 addr[4] = {0, 0, bpf_htonl(0xffff), ops->remote_ip4};
  if (ops->family == AF_INET6) {
    addr[0] = ops->remote_ip6[0];
    addr[1] = ops->remote_ip6[1];
    addr[2] = ops->remote_ip6[2];
    addr[3] = ops->remote_ip6[3];
  }
  __builtin_memcpy(out, addr, sizeof(addr));
}

/* What the other end's connection to a listener was published under. */
static __always_inline void accepted_tuple(struct sluice_tuple *tuple, struct bpf_sock_ops *ops) {
  tuple->netns_cookie = bpf_get_netns_cookie(ops);
  remote_addr(tuple->saddr, ops);
  tuple->sport = bpf_ntohl(ops->remote_port);
  tuple->dport = ops->local_port;
}

#endif
