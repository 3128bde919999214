// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * socket() of any family, io_uring's included: agents get those that the other hooks govern and those that
 * stay in the host. What is not known is refused. It is asked before the kernel looks for a module.
 */
#include "../lib/foreign.h"

static __always_inline bool may_have(int family) {
  switch (family) {
  case AF_UNIX:    /* local; where it leads is judged when it connects */
  case AF_INET:    /* the cgroup hooks */
  case AF_INET6:   /* likewise */
  case AF_NETLINK: /* to the kernel: how every program asks for its addresses and routes */
  case AF_ALG:     /* the kernel's ciphers */
    return true;
  default:
    return false;
  }
}

SEC("lsm/socket_create")
int sluice_lsm_create(__u64 *ctx) {
  __u32 family = ctx[0], type = ctx[1], protocol = ctx[2], kernel = ctx[3];
  if (kernel || may_have(family))
    return MAY;
  struct sluice_config *config = sluice_get_config();
  __u32 agent = sluice_current_agent();
  if (!config || !agent)
    return MAY;
  struct sluice_flow flow = {};
  sluice_fill_facts(&flow, agent, config->generation);
  flow.protocol = protocol;
  flow.detail = family << 24 | (type & 0xff) << 16 | (protocol & 0xffff);
  sluice_emit_denied(SLUICE_REASON_SOCKET, SLUICE_TECHNIQUE_SOCKET_FAMILY, &flow);
  return REFUSE;
}

char LICENSE[] SEC("license") = "GPL";
