// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * bind(): keeps agents off the proxy's port, and the forwarder's. With SO_REUSEPORT a process of the daemon's
 * user could listen beside the daemon, have every connection steered to itself, and read what other agents
 * send. The mark does not help there: the kernel picks one listener when connect() looks, and may pick
 * another for the connection.
 */
#include "lib/agent.h"
#include "lib/event.h"

/* Where the listeners are (src/daemon/listeners.ts), or where all addresses are meant. Others are not the
 * proxy's: what an agent listens at there, egress keeps from answering. */
static __always_inline bool is_listeners(const __u32 *addr) {
  bool mapped = addr[0] == 0 && addr[1] == 0 && addr[2] == bpf_htonl(0xffff);
  bool plain = addr[0] == 0 && addr[1] == 0 && addr[2] == 0;
  return (mapped && (addr[3] == bpf_htonl(0x7f000001) || addr[3] == 0)) ||
         (plain && (addr[3] == bpf_htonl(1) || addr[3] == 0));
}

static __always_inline bool is_ours(struct sluice_config *config, __u32 protocol, __u16 port) {
  if (!port)
    return false;
  return (protocol == IPPROTO_TCP && port == config->proxy_port) || port == config->dns_port;
}

static __always_inline int decide(struct bpf_sock_addr *ctx, const __u32 *addr, __u8 family) {
  struct sluice_config *config = sluice_get_config();
  __u16 port = bpf_ntohs((__u16)ctx->user_port);
  if (!config || !is_ours(config, ctx->protocol, port) || !is_listeners(addr))
    return 1;
  __u32 agent = sluice_current_agent();
  if (!agent)
    return 1;
  struct sluice_flow flow = {};
  sluice_fill_facts(&flow, agent, config->generation);
  flow.id = sluice_next_id();
  flow.family = family;
  flow.protocol = ctx->protocol;
  flow.dport = port;
  __builtin_memcpy(flow.daddr, addr, sizeof(flow.daddr));
  sluice_emit_denied(SLUICE_REASON_PROXY_DIRECT, &flow);
  return 0;
}

SEC("cgroup/bind4")
int sluice_bind4(struct bpf_sock_addr *ctx) {
  __u32 addr[4] = {0, 0, bpf_htonl(0xffff), ctx->user_ip4};
  return decide(ctx, addr, 4);
}

SEC("cgroup/bind6")
int sluice_bind6(struct bpf_sock_addr *ctx) {
  __u32 addr[4] = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]};
  return decide(ctx, addr, 6);
}

char LICENSE[] SEC("license") = "GPL";
