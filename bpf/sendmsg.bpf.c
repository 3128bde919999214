// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * sendto()/sendmsg() with an address on datagram sockets: refused at once but for DNS to a configured
 * resolver, so that QUIC and the like fall back to TCP without waiting.
 */
#include "lib/agent.h"
#include "lib/datagram.h"

static __always_inline int decide(struct bpf_sock_addr *ctx, const __u32 *daddr) {
  struct sluice_config *config = sluice_get_config();
  if (!config)
    return 1;
  __u32 agent = sluice_current_agent();
  if (!agent)
    return 1;
  __u16 port = bpf_ntohs((__u16)ctx->user_port);
  if (ctx->protocol == IPPROTO_UDP && sluice_is_resolver(daddr, port, config->generation))
    return 1;
  struct sluice_sock *sock = bpf_sk_storage_get(&sluice_socks, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
  if (!sock) {
    sluice_count(2 + SLUICE_REASON_UDP);
    return 0;
  }
  if (!sock->flow.agent) {
    sock->role = SLUICE_ROLE_AGENT;
    sluice_fill_facts(&sock->flow, agent, config->generation);
  }
  sluice_deny_packet(sock, SLUICE_REASON_UDP, daddr, port, ctx->protocol);
  return 0;
}

SEC("cgroup/sendmsg4")
int sluice_sendmsg4(struct bpf_sock_addr *ctx) {
  __u32 daddr[4] = {0, 0, bpf_htonl(0xffff), ctx->user_ip4};
  return decide(ctx, daddr);
}

SEC("cgroup/sendmsg6")
int sluice_sendmsg6(struct bpf_sock_addr *ctx) {
  __u32 daddr[4] = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]};
  return decide(ctx, daddr);
}

char LICENSE[] SEC("license") = "GPL";
