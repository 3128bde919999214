/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Datagrams of agents: which are DNS, and how others are refused. */
#ifndef SLUICE_DATAGRAM_H
#define SLUICE_DATAGRAM_H

#include "event.h"

/* Whatever address is asked: the forwarder asks the resolvers policy names. */
static __always_inline bool sluice_is_dns(struct sluice_config *config, __u16 port) {
  return config->dns_port && port == DNS_PORT;
}

/* Tells of a refused packet, once per socket and reason; every one is counted. */
static __always_inline void sluice_deny_packet(struct sluice_sock *sock, __u32 reason, const void *addr,
                                               __u16 port, __u8 protocol) {
  if (sock->reported & (1u << reason)) {
    sluice_count(2 + reason);
    return;
  }
  sock->reported |= 1u << reason;
  struct sluice_flow flow = sock->flow;
  flow.id = sluice_next_id();
  flow.start_ns = bpf_ktime_get_boot_ns();
  flow.protocol = protocol;
  flow.dport = port;
  __builtin_memcpy(flow.daddr, addr, sizeof(flow.daddr));
  sluice_emit_denied(reason, &flow);
}

#endif
