// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * The other end of DNS: what the agent sees of the forwarder's answers. What the forwarder is sent is up to
 * ingress.
 */
#include "lib/agent.h"

/* What this datagram socket asked, if the port is the forwarder's; or NULL. */
static __always_inline struct sluice_flow *asked(struct bpf_sock_addr *ctx) {
  struct sluice_sock *sock = bpf_sk_storage_get(&sluice_socks, ctx->sk, 0, 0);
  if (!sock || sock->role != SLUICE_ROLE_AGENT || sock->state != SLUICE_STATE_DNS)
    return NULL;
  struct sluice_config *config = sluice_get_config();
  if (!config || !config->dns_port || ctx->user_port != bpf_htons(config->dns_port))
    return NULL;
  return &sock->flow;
}

SEC("cgroup/recvmsg4")
int sluice_recvmsg4(struct bpf_sock_addr *ctx) {
  if (ctx->user_ip4 != bpf_htonl(0x7f000001))
    return 1;
  struct sluice_flow *flow = asked(ctx);
  if (flow) {
    __u32 addr;
    __builtin_memcpy(&addr, &flow->daddr[12], sizeof(addr));
    ctx->user_ip4 = addr;
    ctx->user_port = bpf_htons(flow->dport);
  }
  return 1;
}

SEC("cgroup/recvmsg6")
int sluice_recvmsg6(struct bpf_sock_addr *ctx) {
  __u32 third = ctx->user_ip6[2], last = ctx->user_ip6[3];
  if (ctx->user_ip6[0] || ctx->user_ip6[1])
    return 1;
  if (!(third == 0 && last == bpf_htonl(1)) && !(third == bpf_htonl(0xffff) && last == bpf_htonl(0x7f000001)))
    return 1;
  struct sluice_flow *flow = asked(ctx);
  if (flow) {
    __u32 addr[4];
    __builtin_memcpy(addr, flow->daddr, sizeof(addr));
    ctx->user_ip6[0] = addr[0];
    ctx->user_ip6[1] = addr[1];
    ctx->user_ip6[2] = addr[2];
    ctx->user_ip6[3] = addr[3];
    ctx->user_port = bpf_htons(flow->dport);
  }
  return 1;
}

char LICENSE[] SEC("license") = "GPL";
